"""The child process that reads documents, given damaged ones: it ends in time, within its limits, and says something."""

import json
import random
import subprocess
import time

import pytest

import documents

MAKERS = {
    "pdf": [documents.by_typst, documents.by_reportlab],
    "docx": [lambda: documents.by_pandoc("docx"), documents.by_python_docx],
    "pptx": [lambda: documents.by_pandoc("pptx"), documents.by_python_pptx],
    "html": [lambda: documents.by_pandoc("html")],
}
SECONDS = 10
MEMORY = 512 * 2**20
MUTANTS = 60


@pytest.fixture(scope="module")
def extract(proxy_program):
    def run(kind, data, memory=MEMORY, seconds=SECONDS):
        return subprocess.run(
            [proxy_program, "extract", kind, f"--memory={memory}", f"--seconds={seconds}"],
            input=data,
            capture_output=True,
            timeout=3 * SECONDS,
            check=False,
        )

    return run


def mutant(data, rng):
    """The document with some of its bytes flipped, cut out, repeated or replaced."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not data:
            break
        at, length = rng.randrange(len(data)), min(len(data), rng.choice([1, 2, 8, 100, 1000]))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length] * rng.choice([1, 3, 50])
        elif kind == 3:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 4:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, b"99999999", b"-1      ", b"<<<<<<<<", b"1 0 R 1 "])
        else:
            del data[at:]
    return bytes(data)


def inner_mutant(kind, data, rng):
    """The same of what is packed inside: bytes of an archive rarely come through its checksums."""
    if kind not in ("docx", "pptx"):
        return mutant(data, rng)
    from test_documents import rezipped

    parts = [name for name in ("word/document.xml", "word/styles.xml", "ppt/slides/slide1.xml", "_rels/.rels")]
    return rezipped(data, lambda name, part: mutant(part, rng) if name in parts else part)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_documents_end_in_time_and_within_memory(extract, kind, seed):
    rng = random.Random(f"{kind}{seed}")
    originals = [make() for make in MAKERS[kind]]
    outcomes = {"text": 0, "problem": 0, "died": 0}
    for _ in range(MUTANTS):
        data = rng.choice(originals)
        data = rng.choice([mutant, lambda data, rng: inner_mutant(kind, data, rng)])(data, rng)
        began = time.monotonic()
        done = extract(kind, data)
        assert time.monotonic() - began < 2 * SECONDS
        if done.returncode == 0:
            answer = json.loads(done.stdout)
            assert list(answer) in (["text"], ["problem"])
            outcomes[next(iter(answer))] += 1
            if "problem" in answer:
                assert answer["problem"]["code"] == "invalid_file" and answer["problem"]["message"]
        else:
            outcomes["died"] += 1
    print(kind, seed, outcomes)
    assert outcomes["text"] > 0, "some damage does not matter"
    assert kind == "html" or outcomes["problem"] > 0, "and some does"


def test_the_child_obeys_its_limits(extract):
    page = documents.by_pandoc("html")
    assert "text" in json.loads(extract("html", page).stdout)
    hungry = extract("html", page + b"x" * 2**28, memory=2**28)
    assert hungry.returncode < 0 or b"memory" in hungry.stderr or b"cannot allocate" in hungry.stderr.lower()
    lazy = extract("html", (b"<p>a &amp; b" * 2**22) + b"<p>", seconds=0, memory=2**32)
    assert lazy.returncode == -24, "SIGXCPU"


def test_the_child_cannot_write_files(proxy_program, tmp_path):
    """Not even to its standard output, when that is a file."""
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run(
            [proxy_program, "extract", "html", f"--memory={MEMORY}", "--seconds=5"],
            input=b"<p>hello",
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode != 0 and (tmp_path / "out").stat().st_size == 0
