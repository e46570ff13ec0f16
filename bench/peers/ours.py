"""vectorstore: loading a store and searching it, timed inside the server."""

from __future__ import annotations

import json
import time

import numpy as np
import psycopg

from . import server
from .data import Data
from .timing import Answer, Search

BATCH = 2000

# The clock runs around the whole statement; `length` makes sure that the texts are really read.
TIMED = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE OR REPLACE FUNCTION bench.ours(
    store text, query text, embedding vector, k integer, mode text, filter jsonb, OUT ms float8, OUT ids text[])
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    letters bigint;
BEGIN
    SELECT array_agg(s.id), sum(length(s.content)) INTO ids, letters
    FROM vs_search(store, query, embedding, k, mode => mode, filter => filter) s;
    ms := extract(epoch FROM clock_timestamp() - began) * 1000;
END $$;
"""
MODES = {"hybrid": "hybrid", "vector": "vector_only", "keyword": "keyword_only"}


def lower_than(below: int | None) -> str | None:
    """The filter on the metadata's number."""
    return None if below is None else json.dumps({"type": "lt", "key": "bucket", "value": below})


def create(connection: psycopg.Connection, store: str, dimensions: int | None = 384) -> None:
    """An empty store that is given vectors of so many dimensions; None: one with the static model."""
    connection.execute("SELECT vs_delete_store(id) FROM vs_stores WHERE name = %s", (store,))
    model = "local" if dimensions is None else "none"
    connection.execute(
        "SELECT vs_create_store(%s, embedding_model => %s, dimensions => %s::integer)", (store, model, dimensions)
    )


def encoded(ids: list[str], texts: list[str], vectors: np.ndarray, buckets: np.ndarray, oid: int) -> tuple[bytes, ...]:
    """Rows as a client of the server's binary protocol has them; oid is that of the type vector."""
    return (
        server.array(server.TextArray, [text.encode() for text in texts]),
        server.array(server.TextArray, [name.encode() for name in ids]),
        server.vector_array(vectors, oid),
        # Behind the version of the format.
        server.array(server.JsonbArray, [b'\x01{"bucket": %d}' % bucket for bucket in buckets.tolist()]),
    )


def upsert(connection: psycopg.Connection, store: str, batch: tuple[bytes, ...]) -> None:
    """One statement with some rows."""
    connection.execute("SELECT cardinality(vs_upsert(%s, %s, %s, %s, %s))", (store, *batch))


def load(connection: psycopg.Connection, store: str, data: Data, batch: int = BATCH) -> float:
    """Inserts every row, in arrays; seconds until the last one was committed."""
    oid = server.vector_oid(connection)
    batches = []
    for begin in range(0, len(data), batch):
        part = slice(begin, begin + batch)
        batches.append(encoded(data.ids[part], data.texts[part], data.vectors[part], data.buckets[part], oid))
    began = time.perf_counter()
    for each in batches:
        upsert(connection, store, each)
    return time.perf_counter() - began


def merge(connection: psycopg.Connection, store: str) -> bool:
    """Packs the rows of a store into segments; whether this version has any."""
    kind = server.value(connection, "SELECT prokind::text FROM pg_proc WHERE proname = 'vs_merge' LIMIT 1")
    if kind is not None:
        connection.execute("CALL vs_merge(%s)" if kind == "p" else "SELECT vs_merge(%s)", (store,))
    return kind is not None


def settle(connection: psycopg.Connection, store: str) -> float:
    """Packs everything and waits for it; seconds. Nothing to do for versions without segments."""
    began = time.perf_counter()
    merge(connection, store)
    connection.execute("VACUUM (ANALYZE) vectorstore.embeddings")
    return time.perf_counter() - began


def statistics(connection: psycopg.Connection) -> list[dict]:
    """What vs_stat_indexes says, for the results file."""
    if server.value(connection, "SELECT to_regclass('vs_stat_indexes')") is None:
        return []
    return server.value(connection, "SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM vs_stat_indexes s")


class Ours:
    """One session that searches one store."""

    def __init__(
        self,
        store: str,
        data: Data,
        name: str = "vectorstore",
        settings: dict[str, str] | None = None,
        database: str | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.connection = server.connect(database, settings)
        server.script(self.connection, TIMED)
        self.texts = data.queries
        self.vectors = [server.vector(values) for values in data.query_vectors]

    def search(self, mode: str, below: int | None = None, k: int = 10) -> Search:
        """Answers by query number, timed inside the server."""
        statement = "SELECT ms, ids FROM bench.ours(%s, %s, %s, %s::integer, %s, %s::jsonb)"
        filter_ = lower_than(below)

        def answer(query: int) -> Answer:
            row = self.connection.execute(
                statement, self._arguments(mode, query) + (k, MODES[mode], filter_)
            ).fetchone()
            assert row is not None
            return row[0], row[1] or []

        return answer

    def round_trip(self, mode: str, k: int = 10) -> Search:
        """The same as a client sees it, rows received."""
        statement = "SELECT id, content, metadata, score FROM vs_search(%s, %s, %s, %s::integer, mode => %s)"

        def answer(query: int) -> Answer:
            began = time.perf_counter()
            rows = self.connection.execute(statement, self._arguments(mode, query) + (k, MODES[mode])).fetchall()
            return (time.perf_counter() - began) * 1e3, [row[0] for row in rows]

        return answer

    def _arguments(self, mode: str, query: int) -> tuple:
        text = None if mode == "vector" else self.texts[query]
        return (self.store, text, None if mode == "keyword" else self.vectors[query])
