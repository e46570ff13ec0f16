"""Cuts passages of 60 to 120 words, at the ends of sentences, out of judged collections
({"docs": {id: text}, "queries": {id: text}}, xz), and takes their queries of 4 to 20 words.
usage: bench-corpus.py FOLDER OUT.json
"""

import json
import lzma
import pathlib
import random
import re
import sys

PASSAGES = 20_000
QUERIES = 200
# Long abstracts first: what comes last is needed only to fill up.
PREFERRED = ["scifact", "cranfield", "npl"]


def cut(text):
    words = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        more = sentence.split()
        if words and len(words) + len(more) > 120:
            yield " ".join(words)
            words = []
        words += more
        if len(words) >= 60:
            yield " ".join(words)
            words = []
    # The rest of an abstract, unless it is a scrap.
    if len(words) >= 20:
        yield " ".join(words)


def main(folder, out):
    files = {path.name.removesuffix(".json.xz"): path for path in pathlib.Path(folder).glob("*.json.xz")}
    names = [name for name in PREFERRED if name in files] + sorted(files.keys() - set(PREFERRED))
    passages, queries, used = [], [], []
    for name in names:
        if len(passages) >= PASSAGES:
            break
        with lzma.open(files[name], "rt", encoding="utf-8") as file:
            collection = json.load(file)
        for text in collection["docs"].values():
            passages.extend(cut(text))
        queries += [text for text in collection["queries"].values() if 4 <= len(text.split()) <= 20]
        used.append(name)
    random.Random(1).shuffle(queries)
    corpus = {"source": ", ".join(used), "passages": passages[:PASSAGES], "queries": queries[:QUERIES]}
    pathlib.Path(out).write_text(json.dumps(corpus), encoding="utf-8")


main(*sys.argv[1:])
