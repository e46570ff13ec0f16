"""Texts to search in: a judged collection when it is there, else the paragraphs of our own documentation."""

import json
import lzma
import re
import shutil

# Not part of the repository: a folder beside it.
COLLECTION = "../shared/data/cranfield.json.xz"


def load(repository):
    """Name, texts by id, and queries."""
    path = repository / COLLECTION
    if path.is_file():
        with lzma.open(path) as file:
            data = json.load(file)
        texts = {id: text for id, text in data["docs"].items() if text.strip()}
        # "-dash" in these questions is punctuation; in a search it would exclude the word.
        return path.name, texts, [query.replace(" -", " ") for query in data["queries"].values()]
    texts = paragraphs(repository)
    # Every heading asks for what stands below it.
    queries = [text.split("\n", 1)[0].lstrip("# ") for text in texts.values() if text.startswith("#")]
    return "paragraphs of docs/", texts, queries


def paragraphs(repository):
    """The paragraphs of docs/*.md by `file#number`; a heading belongs to the paragraph below it."""
    texts = {}
    for path in sorted(repository.glob("docs/*.md")):
        heading = ""
        for number, block in enumerate(re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))):
            block = block.strip()
            if block.startswith("#") and "\n" not in block:
                heading = block
            elif block:
                texts[f"{path.name}#{number}"] = f"{heading}\n\n{block}" if heading else block
                heading = ""
    assert len(texts) >= 60, "the documentation is too short to be searched"
    return texts


def documentation_folder(repository, folder):
    """A copy of what `make run` loads on its first run: docs/ without the figures of benchmarks, and the README."""
    shutil.copytree(repository / "docs", folder / "docs", ignore=shutil.ignore_patterns("bench-*"))
    shutil.copy(repository / "README.md", folder)
    return folder
