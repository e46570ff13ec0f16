"""Texts: chunks of the judged collections, descriptions of Debian packages, and made-up ones beyond those."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator

import numpy as np

# Words of a chunk; sentences are not broken.
CHUNK = (60, 120)


def cut(text: str) -> Iterator[str]:
    """Chunks of 60 to 120 words that end with sentences; the last may be shorter."""
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        more = sentence.split()
        if words and len(words) + len(more) > CHUNK[1]:
            yield " ".join(words)
            words = []
        words += more
        if len(words) >= CHUNK[0]:
            yield " ".join(words)
            words = []
    if words:
        yield " ".join(words)


def packages() -> list[str]:
    """Name, short description, section, tags and dependencies of every Debian package known here; none without apt."""
    if shutil.which("apt-cache") is None:
        return []
    dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=False, errors="replace")
    texts = {}
    for entry in dump.stdout.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*(?:\n .*)*)", entry, re.MULTILINE))
        if "Package" not in fields or "Description" not in fields:
            continue
        about = fields["Description"].split("\n")[0].rstrip(".")
        needs = re.sub(r"\([^)]*\)", "", fields.get("Depends", ""))
        rest = re.sub(r"[:,|]+", " ", f"{fields.get('Section', '')} {fields.get('Tag', '')} {needs}").split()
        texts[fields["Package"]] = f"{fields['Package']}: {about}. {' '.join(rest[: CHUNK[1]])}"
    return [texts[name] for name in sorted(texts)]


def words_of(folder: pathlib.Path) -> list[str]:
    """Paragraphs of the Markdown files of a folder: the last resort."""
    texts = []
    for path in sorted(folder.glob("**/*.md")):
        paragraphs = path.read_text(encoding="utf-8").split("\n\n")
        texts += [" ".join(text.split()) for text in paragraphs if len(text.split()) > 20]
    return texts


def made_up(parents: list[str], count: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Texts like their parents, and the number of each one's parent.

    Half of the words come from the parent, so that words that go together stay together; the others are drawn
    by their frequency in all parents, which follows Zipf's law; one in a hundred is new, as vocabularies grow.
    """
    split = [text.split() for text in parents]
    frequency = Counter(word for words in split for word in words)
    vocabulary = np.array(list(frequency), dtype=object)
    bounds = np.cumsum(np.fromiter(frequency.values(), np.int64))
    chosen = rng.integers(0, len(parents), count)
    texts = []
    for parent in chosen:
        own = split[parent]
        length = len(own)
        drawn = vocabulary[np.searchsorted(bounds, rng.integers(0, bounds[-1], length), side="right")]
        kept = rng.random(length)
        words = [own[place] if kept[place] < 0.5 else drawn[place] for place in range(length)]
        if length > 4:
            words[length // 2] = f"x{rng.integers(0, 40 * count):x}"
        texts.append(" ".join(words))
    return texts, chosen
