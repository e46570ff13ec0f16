"""Search by the book: BM25, cosine and weighted fusion over all texts of a store, in numpy.

Only tokens and vectors come from Postgres; every score is computed here, by other code than the extension's.
"""

import json
import math

import bm25s
import numpy as np

K1, B = 1.2, 0.75
# The keyword score at which the scaled score is one half.
HALF = 10.0


def metadata(number):
    """What the row with this number carries, so that filters choose half of all rows, a fifth, or a handful."""
    return {
        "number": number,
        "parity": "even" if number % 2 == 0 else "odd",
        "fifth": f"g{number % 5}",
        "checked": number % 3 == 0,
    } | ({"rare": True} if number % 211 == 0 else {})


class Collection:
    """The texts of one store, filled through SQL; arrays are in the order of insertion."""

    def __init__(self, database, store, texts, queries):
        self.database, self.store, self.queries = database, store, queries
        self.add(list(texts), list(texts.values()))
        self.read(list(texts))

    def add(self, ids, contents):
        for start in range(0, len(ids), 500):
            part = slice(start, start + 500)
            self.database.execute(
                "SELECT vs_upsert(%s, %s::text[], ids => %s, metadatas => %s::jsonb[])",
                [self.store, contents[part], ids[part], [json.dumps(metadata(n)) for n in range(len(ids))[part]]],
            )

    def read(self, ids):
        """Takes lexemes, vectors and metadata of these rows as they are in the store now."""
        rows = self.database.execute(
            """SELECT tsvector_to_array(t.tsv), ARRAY(SELECT cardinality(l.positions) FROM unnest(t.tsv) l),
                      g.embedding::real[], g.metadata
               FROM unnest(%s::text[]) WITH ORDINALITY AS u(id, place), vs_get(%s, u.id) AS g,
                    to_tsvector('english', g.content) AS t(tsv)
               ORDER BY u.place""",
            [ids, self.store],
        ).fetchall()
        assert len(rows) == len(ids)
        self.ids = ids
        self.place = {id: n for n, id in enumerate(ids)}
        self.tokens = [[word for word, n in zip(row[0], row[1], strict=True) for _ in range(n)] for row in rows]
        self.vectors = np.array([row[2] for row in rows], dtype=np.float64)
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.metadata = [row[3] for row in rows]
        self.postings = {}
        for n, tokens in enumerate(self.tokens):
            for token in tokens:
                self.postings.setdefault(token, np.zeros(len(ids)))[n] += 1
        lengths = np.array([len(tokens) for tokens in self.tokens])
        self.length_part = K1 * (1 - B + B * lengths / lengths.mean())
        self.witness = bm25s.BM25(method="lucene", k1=K1, b=B, dtype="float64")
        self.witness.index(self.tokens, show_progress=False)

    def query_tokens(self, query):
        """Lexemes of a query; one that occurs twice counts twice."""
        rows = self.database.execute(
            "SELECT lexeme, cardinality(positions) FROM unnest(to_tsvector('english', %s))", [query]
        ).fetchall()
        return [word for word, n in rows for _ in range(n)]

    def bm25(self, query):
        """A score for every row."""
        scores = np.zeros(len(self.ids))
        for token in self.query_tokens(query):
            tf = self.postings.get(token)
            if tf is not None:
                df = np.count_nonzero(tf)
                idf = math.log(1 + (len(self.ids) - df + 0.5) / (df + 0.5))
                scores += idf * tf / (tf + self.length_part)
        return scores

    def bm25_of_the_witness(self, query):
        known = [token for token in self.query_tokens(query) if token in self.postings]
        return self.witness.get_scores(known) if known else np.zeros(len(self.ids))

    def cosine(self, query):
        """A score for every row."""
        row = self.database.execute("SELECT vs_embed(%s)::real[]", [query]).fetchone()
        vector = np.array(row[0], dtype=np.float64)
        return self.vectors @ (vector / np.linalg.norm(vector))

    def hybrid(self, query, vector_weight=0.7, keyword_weight=0.3):
        """A score for every row."""
        vector_scale = (1 + self.cosine(query)) / 2
        bm25 = self.bm25(query)
        keyword_scale = bm25 / (bm25 + HALF)
        return (vector_weight * vector_scale + keyword_weight * keyword_scale) / (vector_weight + keyword_weight)

    def search(self, query, **arguments):
        """Rows of vs_search as dictionaries."""
        names = ", ".join(f"{name} => %s" for name in arguments)
        values = [json.dumps(value) if isinstance(value, dict) else value for value in arguments.values()]
        cursor = self.database.execute(f"SELECT * FROM vs_search(%s, %s, {names})", [self.store, query, *values])
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def check(self, found, expected, count, tolerance, allowed=None):
        """`found`, a list of (id, score), is the top of the array `expected`, up to the order of equal scores.

        `count` hits are wanted, fewer if fewer rows are allowed.
        """
        allowed = np.ones(len(self.ids), dtype=bool) if allowed is None else np.asarray(allowed)
        best = np.sort(expected[allowed])[::-1][:count]
        assert len(found) == len(best)
        assert len({id for id, _ in found}) == len(found)
        for rank, (id, score) in enumerate(found):
            place = self.place[id]
            assert allowed[place], f"{id} does not pass the filter"
            assert abs(score - expected[place]) <= tolerance, f"rank {rank}, {id}: {score}, expected {expected[place]}"
            assert abs(score - best[rank]) <= tolerance, f"rank {rank}, {id}: {score}, but {best[rank]} is due here"
