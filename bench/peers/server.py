"""Connections, and arrays of vectors in PostgreSQL's binary format: text would cost more than the insert itself."""

from __future__ import annotations

import os
import struct
from typing import LiteralString

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo


class Vector(bytes):
    """One vector as pgvector sends it."""


class VectorArray(bytes):
    """An array of vectors as PostgreSQL sends it."""


class TextArray(bytes):
    """An array of texts as PostgreSQL sends it."""


class JsonbArray(bytes):
    """An array of JSON values as PostgreSQL sends it."""


# The type of each array and of its elements; those of pgvector have other numbers in each database.
ARRAYS = {TextArray: (1009, 25), JsonbArray: (3807, 3802)}


def array(kind: type[TextArray] | type[JsonbArray], values: list[bytes]) -> bytes:
    """An array in binary."""
    size = struct.Struct(">i").pack
    head = struct.pack(">iiIii", 1, 0, ARRAYS[kind][1], len(values), 1)
    return kind(head + b"".join(size(len(value)) + value for value in values))


def vector(values: np.ndarray) -> Vector:
    """One vector in binary."""
    return Vector(struct.pack(">HH", len(values), 0) + values.astype(">f4").tobytes())


def vector_items(vectors: np.ndarray) -> bytes:
    """Vectors one after the other, each with its length in front, as in arrays and in COPY."""
    dimensions = vectors.shape[1]
    items = np.zeros(len(vectors), [("size", ">i4"), ("dim", ">u2"), ("unused", ">u2"), ("values", ">f4", dimensions)])
    items["size"] = 4 + 4 * dimensions
    items["dim"] = dimensions
    items["values"] = vectors
    return items.tobytes()


def vector_array(vectors: np.ndarray, element: int) -> VectorArray:
    """An array of vectors in binary; element is the oid of the type vector."""
    return VectorArray(struct.pack(">iiIii", 1, 0, element, len(vectors), 1) + vector_items(vectors))


def connect(database: str | None = None, settings: dict[str, str] | None = None) -> psycopg.Connection:
    """A session of its own, in autocommit mode, as superuser of the benchmark's cluster."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    if database is not None:
        connection.close()
        connection = psycopg.connect(os.environ["DATABASE_URL"], dbname=database, autocommit=True)
    connection.prepare_threshold = 0
    kinds = {kind: oid for kind, (oid, _) in ARRAYS.items()}
    info = TypeInfo.fetch(connection, "vector")
    if info is not None:
        kinds |= {Vector: info.oid, VectorArray: info.array_oid}
    for kind, oid in kinds.items():
        dumper = type(
            "BinaryDumper", (Dumper,), {"format": Format.BINARY, "oid": oid, "dump": lambda self, obj: bytes(obj)}
        )
        connection.adapters.register_dumper(kind, dumper)
    for name, value in {"statement_timeout": "0", **(settings or {})}.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return connection


def vector_oid(connection: psycopg.Connection) -> int:
    """Number of the type vector in this database."""
    return value(connection, "SELECT 'vector'::regtype::oid::bigint")


def value(connection: psycopg.Connection, statement: LiteralString, *arguments: object):
    """The one value that a statement gives."""
    row = connection.execute(statement, arguments or None).fetchone()
    return row[0] if row else None


def script(connection: psycopg.Connection, statements: str) -> None:
    """Statements without arguments or results, as one transaction."""
    connection.execute(statements, prepare=False)  # type: ignore[arg-type]


def arguments_of(connection: psycopg.Connection, name: str) -> set[str]:
    """Names of the arguments and columns of a function."""
    return set(
        value(
            connection,
            "SELECT coalesce(array_agg(a), '{}') FROM pg_proc, unnest(proargnames) a WHERE proname = %s",
            name,
        )
    )


def versions(connection: psycopg.Connection) -> dict[str, str]:
    """What runs here."""
    rows = connection.execute(
        "SELECT extname, extversion FROM pg_extension WHERE extname IN ('vector', 'vectorstore')"
    ).fetchall()
    names = (
        "server_version",
        "shared_buffers",
        "shared_preload_libraries",
        "fsync",
        "synchronous_commit",
        "jit",
        "max_parallel_workers_per_gather",
        "maintenance_work_mem",
        "max_wal_size",
    )
    settings = {name: value(connection, "SELECT current_setting(%s)", name) for name in names}
    return {**dict(rows), **settings}
