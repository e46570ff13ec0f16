"""make bench-quality: rows 8 and 9, and a table of fusion methods."""

from __future__ import annotations

import sys

import numpy as np

from . import embedded, fusions, handsql, judged, ours, server
from .data import Data
from .embed import embed
from .options import Run, parser
from .report import Row

GOALS = {"keyword": (0.49, 0.51), "hybrid, static model": (0.50, 0.52), "hybrid, MiniLM": (0.55, 0.57)}
METHODS = ("weighted", "minmax", "dbsf", "zscore", "rrf")


class Judge:
    """One collection in two stores (static model; MiniLM vectors), in tables by hand and in bm25s."""

    def __init__(self, run: Run, collection: judged.Collection) -> None:
        self.run, self.collection = run, collection
        options = run.options
        self.ids, self.queries = list(collection.docs), list(collection.queries)
        vectors, self.model = embed(list(collection.docs.values()), options.cache)
        asked, _ = embed(list(collection.queries.values()), options.cache)
        texts = list(collection.docs.values())
        self.data = Data(texts, vectors, np.zeros(len(texts), int), list(collection.queries.values()), asked)
        connection = run.connection
        self.names = {"static": f"{collection.name}_static", "minilm": f"{collection.name}_minilm"}
        ours.create(connection, self.names["minilm"])
        ours.load(connection, self.names["minilm"], self.data)
        ours.create(connection, self.names["static"], None)
        # A text without words has no direction under the static model.
        worded = [row for row, text in enumerate(texts) if any(letter.isalnum() for letter in text)]
        for begin in range(0, len(worded), 1000):
            rows = worded[begin : begin + 1000]
            connection.execute(
                "SELECT cardinality(vs_upsert(%s, %s::text[], %s::text[]))",
                (self.names["static"], [texts[row] for row in rows], [self.data.ids[row] for row in rows]),
            )
        for name in self.names.values():
            ours.settle(connection, name)
        handsql.load(connection, collection.name, self.data)
        handsql.define(connection, collection.name)

    def score(self, found: list[list[str]]) -> float:
        """Mean nDCG@10 of answers in the order of the queries."""
        grades = [self.collection.grades.get(query, {}) for query in self.queries]
        return float(
            np.mean(
                [judged.ndcg([self.ids[int(row[1:])] for row in rows], grade) for rows, grade in zip(found, grades)]
            )
        )

    def ours(self, model: str, mode: str, **more: object) -> list[list[str]]:
        """Answers of vs_search; the static model embeds the text itself."""
        extra = "".join(f", {name} => %s" for name in more)
        statement = f"SELECT id FROM vs_search(%s, %s, %s::vector, 10, %s{extra})"
        found = []
        for text, values in zip(self.data.queries, self.data.query_vectors):
            vector = server.vector(values) if model == "minilm" else None
            rows = self.run.connection.execute(
                statement, (self.names[model], text, vector, ours.MODES[mode], *more.values())
            ).fetchall()  # type: ignore[arg-type]
            found.append([row[0] for row in rows])
        return found

    def by_hand(self, recipe: str) -> list[list[str]]:
        """Answers of a recipe."""
        answer = handsql.HandSQL(self.collection.name, self.data, recipe).search()
        return [answer(query)[1] for query in range(len(self.queries))]

    def lost(self, found: list[list[str]]) -> int:
        """Queries with an empty answer though a document shares a stemmed word with them."""
        statement = (
            f"SELECT EXISTS (SELECT FROM {self.collection.name}.texts WHERE tsv @@ ({handsql.ANY.replace('$1', '%s')}))"
        )
        empty = [text for text, rows in zip(self.data.queries, found) if not rows]
        return sum(server.value(self.run.connection, statement, text) for text in empty)  # type: ignore[arg-type]


def evaluate(run: Run, judge: Judge, scores: dict[str, dict[str, float]], lost: dict[str, int]) -> None:
    """Adds one collection to the table."""
    name = judge.collection.name
    run.say(f"judging {name}")

    def put(what: str, found: list[list[str]]) -> None:
        scores.setdefault(what, {})[name] = judge.score(found)

    keyword = judge.ours("minilm", "keyword")
    put("keyword", keyword)
    lost["ours"] = lost.get("ours", 0) + judge.lost(keyword)
    put("hybrid, static model", judge.ours("static", "hybrid"))
    put("hybrid, MiniLM", judge.ours("minilm", "hybrid"))
    put("vector, static model", judge.ours("static", "hybrid", keyword_weight=0.0))
    put("vector, MiniLM", judge.ours("minilm", "vector"))
    for recipe in ("keyword_or", "keyword_and", "hybrid_or", "hybrid_and"):
        found = judge.by_hand(recipe)
        put(f"SQL by hand, {recipe}", found)
        if recipe == "keyword_and":
            lost["AND"] = lost.get("AND", 0) + judge.lost(found)
    bm25s = run.peer(f"bm25s, {name}", lambda: embedded.BM25S(judge.data))
    if bm25s:
        put("bm25s", [bm25s.search("keyword")(query)[1] for query in range(len(judge.queries))])
    qdrant = run.peer(f"Qdrant Edge, {name}", lambda: embedded.Qdrant(judge.data, run.folder / name))
    if qdrant:
        put("Qdrant Edge, hybrid RRF", [qdrant.search("hybrid")(query)[1] for query in range(len(judge.queries))])
    lance = run.peer(f"LanceDB, {name}", lambda: embedded.Lance(judge.data, run.folder / f"{name}-lance"))
    if lance:
        put("LanceDB, hybrid RRF", [lance.search("hybrid")(query)[1] for query in range(len(judge.queries))])
    if "fusion" in server.arguments_of(run.connection, "vs_search"):
        for method in METHODS:
            for model in ("static", "minilm"):
                put(f"vs_search fusion {method}, {model}", judge.ours(model, "hybrid", fusion=method))
    for what, found in fusions.answers(run.connection, judge.data, judge.names["static"]).items():
        put(f"exact in Python: {what}", found)


def main() -> int:
    """All collections; a small run takes the smallest one and tells its figures without judging them."""
    run = Run("bench-quality", parser("bench-quality").parse_args())
    collections = judged.load(run.options.shared)
    if not collections:
        run.say(f"no judged collections in {run.options.shared}: nothing to measure")
        return run.finish()
    if run.options.quick:
        collections = collections[:1]
    scores: dict[str, dict[str, float]] = {}
    lost: dict[str, int] = {}
    for collection in collections:
        judge = Judge(run, collection)
        run.report.results["embeddings"] = judge.model
        evaluate(run, judge, scores, lost)
    run.report.results["ndcg@10"] = scores
    whole = len(collections) == len(judged.NAMES)
    for what, by_collection in scores.items():
        must, moonshot = GOALS.get(what, (None, None)) if whole else (None, None)
        each = ", ".join(f"{name} {score:.3f}" for name, score in by_collection.items())
        run.report.add(
            Row(
                "8" if what in GOALS else "",
                f"nDCG@10, {what} ({each})",
                float(np.mean(list(by_collection.values()))),
                "",
                must=must,
                moonshot=moonshot,
                at_least=True,
            )
        )
    asked = sum(len(collection.queries) for collection in collections)
    run.report.add(
        Row(
            "9",
            f"queries of {asked} without a keyword hit though a document shares a stemmed term",
            float(lost["ours"]),
            "",
            must=0,
        )
    )
    run.report.add(Row("", "the same, websearch_to_tsquery (AND)", float(lost["AND"]), ""))
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
