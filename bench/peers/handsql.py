"""SQL that anybody could write over pgvector and full text search: the recipes of blogs and manuals.

The texts and the vectors lie in tables of their own: with the vector beside it PostgreSQL moves either it or the
tsvector out of line, and the query becomes slower.
"""

from __future__ import annotations

import struct
import time

import psycopg

from . import server
from .data import Data
from .timing import Answer, Search

ANY = "replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery"
ALL = "websearch_to_tsquery('english', $1)"
NEAREST = "SELECT v.id, v.embedding::halfvec({dims}) <=> $2::halfvec({dims}) AS d FROM {s}.vectors v {where} ORDER BY d LIMIT {limit}"
# With a plan of its own for each query the tsquery becomes a constant; in a plan for all of them it would be built
# again for every row, unless a fence keeps it apart.
PLANS = {"custom": ("force_custom_plan", ""), "generic": ("force_generic_plan", "OFFSET 0")}
RANKED = """SELECT t.id, ts_rank(t.tsv, p.q) AS s FROM {s}.texts t, (SELECT {tsquery} AS q {fence}) p
            WHERE t.tsv @@ p.q ORDER BY s DESC LIMIT {limit}"""
FUSED = """
    WITH v AS (SELECT n.id, row_number() OVER (ORDER BY n.d) AS r FROM ({nearest}) n),
         t AS (SELECT n.id, row_number() OVER (ORDER BY n.s DESC) AS r FROM ({ranked}) n),
         f AS (SELECT u.id, sum(1.0 / (60 + u.r)) AS score FROM (SELECT * FROM v UNION ALL SELECT * FROM t) u
               GROUP BY u.id ORDER BY score DESC LIMIT 10)
    SELECT f.id, c.content FROM f JOIN {s}.texts c ON c.id = f.id ORDER BY f.score DESC, f.id"""
TEXTS_OF = "SELECT f.id, c.content FROM ({inner}) f JOIN {s}.texts c ON c.id = f.id ORDER BY {order}"
# A very selective filter is better served by its own index and exact distances.
EXACT = """SELECT f.id, v.embedding <=> $2 AS d
           FROM (SELECT id FROM {s}.texts WHERE bucket < $3 OFFSET 0) f JOIN {s}.vectors v USING (id) ORDER BY d LIMIT 10"""

TIMED = """
CREATE OR REPLACE FUNCTION {s}.{name}(text, vector, integer, OUT ms float8, OUT ids text[])
LANGUAGE plpgsql {settings} AS $$
DECLARE
    began timestamptz := clock_timestamp();
    letters bigint;
BEGIN
    SELECT array_agg(x.id), sum(length(x.content)) INTO ids, letters FROM ({statement}) x;
    ms := extract(epoch FROM clock_timestamp() - began) * 1000;
END $$
"""


def statements(schema: str, dims: int, fence: str = "") -> dict[str, str]:
    """Statement of every recipe; $1 text, $2 vector, $3 bound of the filter."""

    def nearest(limit: int, where: str = "") -> str:
        return NEAREST.format(s=schema, dims=dims, limit=limit, where=where)

    def ranked(tsquery: str, limit: int) -> str:
        return RANKED.format(s=schema, tsquery=tsquery, limit=limit, fence=fence)

    def with_text(inner: str, order: str) -> str:
        return TEXTS_OF.format(s=schema, inner=inner, order=order)

    return {
        "vector": with_text(nearest(10), "f.d"),
        "vector_filtered": with_text(nearest(10, "WHERE v.bucket < $3"), "f.d"),
        "vector_exact": with_text(EXACT.format(s=schema), "f.d"),
        "keyword_or": with_text(ranked(ANY, 10), "f.s DESC"),
        "keyword_and": with_text(ranked(ALL, 10), "f.s DESC"),
        "hybrid_or": FUSED.format(s=schema, nearest=nearest(60), ranked=ranked(ANY, 60)),
        "hybrid_and": FUSED.format(s=schema, nearest=nearest(60), ranked=ranked(ALL, 60)),
    }


def create(connection: psycopg.Connection, schema: str, dims: int = 384) -> None:
    """Empty tables without indexes."""
    server.script(
        connection,
        f"""
        DROP SCHEMA IF EXISTS {schema} CASCADE;
        CREATE SCHEMA {schema};
        CREATE TABLE {schema}.texts (id text COLLATE "C" PRIMARY KEY, bucket integer, content text,
            tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', content)) STORED);
        CREATE TABLE {schema}.vectors (id text COLLATE "C", bucket integer, embedding vector({dims}));
        ALTER TABLE {schema}.vectors ALTER COLUMN embedding SET STORAGE PLAIN;""",
    )


def copy_rows(fields: list[list[bytes]]) -> bytes:
    """Rows in the binary format of COPY, without its header and trailer; columns are given as lists of values."""
    head = struct.pack(">h", len(fields))
    size = struct.Struct(">i").pack
    return b"".join(head + b"".join(size(len(value)) + value for value in row) for row in zip(*fields))


COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)


def columns(data: Data, begin: int, end: int) -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Rows of the two tables as COPY wants them."""
    ids = [row.encode() for row in data.ids[begin:end]]
    buckets = [struct.pack(">i", bucket) for bucket in data.buckets[begin:end].tolist()]
    texts = [text.encode() for text in data.texts[begin:end]]
    vectors = [bytes(server.vector(values)) for values in data.vectors[begin:end]]
    return [ids, buckets, texts], [ids, buckets, vectors]


def copy(connection: psycopg.Connection, target: str, rows: bytes) -> None:
    """One COPY of prepared rows."""
    with connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT binary)") as stream:  # type: ignore[arg-type]
        stream.write(COPY_HEADER + rows + COPY_TRAILER)


def index(connection: psycopg.Connection, schema: str, dims: int = 384, graph: bool = True) -> dict[str, float]:
    """Builds the indexes; seconds of each."""
    built = {}
    if graph:
        built["hnsw"] = (
            f"CREATE INDEX vectors_hnsw ON {schema}.vectors USING hnsw ((embedding::halfvec({dims})) halfvec_cosine_ops)"
        )
        built["vectors_pkey"] = f"ALTER TABLE {schema}.vectors ADD PRIMARY KEY (id)"
    built["gin"] = f"CREATE INDEX texts_tsv ON {schema}.texts USING gin (tsv) WITH (fastupdate = off)"
    built["bucket"] = f"CREATE INDEX texts_bucket ON {schema}.texts (bucket)"
    seconds = {}
    for name, statement in built.items():
        began = time.perf_counter()
        connection.execute(statement)  # type: ignore[arg-type]
        seconds[name] = time.perf_counter() - began
    return seconds


def load(connection: psycopg.Connection, schema: str, data: Data, graph: bool = True) -> dict[str, float]:
    """Tables, rows, then indexes (faster than the other way round); seconds of each step."""
    dims = data.vectors.shape[1]
    create(connection, schema, dims)
    began = time.perf_counter()
    for begin in range(0, len(data), 10_000):
        texts, vectors = columns(data, begin, begin + 10_000)
        copy(connection, f"{schema}.texts (id, bucket, content)", copy_rows(texts))
        if graph:
            copy(connection, f"{schema}.vectors", copy_rows(vectors))
    seconds = {"copy": time.perf_counter() - began, **index(connection, schema, dims, graph)}
    for table in ("texts", "vectors"):
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {schema}.{table}")
    return seconds


def define(connection: psycopg.Connection, schema: str, dims: int = 384) -> None:
    """Functions that run each statement with the clock around it, as a prepared statement would run."""
    for plans, (mode, fence) in PLANS.items():
        for name, statement in statements(schema, dims, fence).items():
            text = TIMED.format(
                s=schema, name=f"{name}_{plans}", settings=f"SET plan_cache_mode = {mode}", statement=statement
            )
            connection.execute(text)  # type: ignore[arg-type]


class HandSQL:
    """One session that runs one of the recipes."""

    def __init__(self, schema: str, data: Data, recipe: str, ef: int = 100, plans: str = "custom") -> None:
        self.name = f"SQL by hand, {recipe}" + (f", ef {ef}" if not recipe.startswith("keyword") else "")
        self.connection = server.connect(settings={"hnsw.ef_search": str(ef), "hnsw.iterative_scan": "relaxed_order"})
        self.call = f"SELECT ms, ids FROM {schema}.{recipe}_{plans}(%s, %s, %s::integer)"
        self.connection.execute("SELECT set_config('plan_cache_mode', %s, false)", (PLANS[plans][0],))
        self.direct = statements(schema, data.vectors.shape[1], PLANS[plans][1])[recipe]
        self.texts = data.queries
        self.vectors = [server.vector(values) for values in data.query_vectors]

    def search(self, below: int | None = None) -> Search:
        """Answers by query number, timed inside the server."""

        def answer(query: int) -> Answer:
            row = self.connection.execute(self.call, (self.texts[query], self.vectors[query], below)).fetchone()  # type: ignore[arg-type]
            assert row is not None
            return row[0], row[1] or []

        return answer

    def round_trip(self) -> Search:
        """The same as a client sees it, rows received."""
        # Every placeholder needs its value: those that the recipe does not use are taken out.
        statement = self.direct.replace("%", "%%").replace("$1", "%(text)s").replace("$2", "%(vector)s")

        def answer(query: int) -> Answer:
            began = time.perf_counter()
            values = {"text": self.texts[query], "vector": self.vectors[query]}
            rows = self.connection.execute(statement, values).fetchall()  # type: ignore[arg-type]
            return (time.perf_counter() - began) * 1e3, [row[0] for row in rows]

        return answer
