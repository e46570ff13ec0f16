"""The real thing: connections, what the installed version offers, and one method for each SQL function used."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
import psycopg
from psycopg.rows import dict_row

from naive import Search
from world import Metadata, Row, Store, Vector

Hit = dict[str, Any]
# A row as it is given to vs_upsert: id, content, vector, metadata.
Given = tuple[str | None, str, Vector, Metadata | None]
Batch = list[Given]
# Nothing here ever waits for a lock of another session: waiting this long is a finding.
GUARDS = "-c lock_timeout=20s -c statement_timeout=120s -c client_min_messages=warning"
# With these as large as they go, the vector leg of a store in segments is exact.
EXACT = ("vectorstore.rerank", "vectorstore.probes")
API_KEY = "sha256('differential')"


def vector_text(vector: Vector) -> str:
    return "[" + ",".join(map(str, vector.tolist())) + "]"


def connect(database: str | None = None) -> psycopg.Connection[Any]:
    """A fresh autocommit session; where the server is stands in PGHOST, PGPORT and PGUSER."""
    return psycopg.connect(dbname=database or os.environ["PGDATABASE"], autocommit=True, options=GUARDS)


@dataclass(frozen=True)
class Features:
    """What this version has: settings that make the vector leg exact with their greatest values, and merging."""

    exact: Mapping[str, str]
    tail_limit: bool
    merge: bool


def detect(connection: psycopg.Connection[Any]) -> Features:
    connection.execute("LOAD 'vectorstore'")
    listed = connection.execute("SELECT name, max_val FROM pg_settings WHERE name LIKE 'vectorstore.%'")
    settings: dict[str, str] = dict(listed.fetchall())
    merge = connection.execute("SELECT count(*) FROM pg_proc WHERE proname = 'vs_merge'").fetchone()
    return Features(
        exact={name: settings[name] for name in EXACT if name in settings},
        tail_limit="vectorstore.tail_limit" in settings,
        merge=merge is not None and merge[0] > 0,
    )


class Lexemes:
    """Lexemes of texts with their frequencies, asked of Postgres once for each text."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[str, int]] = {}
        self.connection: psycopg.Connection[Any] | None = None

    def of_all(self, language: str, texts: Sequence[str]) -> list[dict[str, int]]:
        missing = sorted({text for text in texts if (language, text) not in self.known})
        if missing:
            if self.connection is None or self.connection.closed:
                self.connection = connect()
            rows = self.connection.execute(
                """SELECT ARRAY(SELECT l.lexeme FROM unnest(t.tsv) l),
                          ARRAY(SELECT cardinality(l.positions) FROM unnest(t.tsv) l)
                   FROM unnest(%s::text[]) WITH ORDINALITY AS u(content, place),
                        to_tsvector(%s::regconfig, u.content) AS t(tsv)
                   ORDER BY u.place""",
                [missing, language],
            ).fetchall()
            for text, (words, counts) in zip(missing, rows, strict=True):
                self.known[language, text] = dict(zip(words, counts, strict=True))
        return [self.known[language, text] for text in texts]

    def of(self, language: str, text: str) -> dict[str, int]:
        return self.of_all(language, [text])[0]

    def forget_connection(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Server:
    """SQL functions over one connection. Nothing is remembered here."""

    def __init__(self, features: Features, database: str | None = None) -> None:
        self.features, self.database = features, database
        self.open()

    def open(self) -> None:
        self.connection = connect(self.database)
        self.connection.execute("LOAD 'vectorstore'")
        for name, value in self.features.exact.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", [name, value])

    def run(self, statement: LiteralString, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: LiteralString, values: Sequence[object] = ()) -> Any:
        return self.run(statement, values)[0][0]

    def pid(self) -> int:
        return self.connection.info.backend_pid

    # ---- Stores ----

    def create_store(self, name: str, dimensions: int, language: str, capacity: int) -> Store:
        id = self.one(
            "SELECT vs_create_store(%s, embedding_model => 'none', dimensions => %s, language => %s)",
            [name, dimensions, language],
        )
        number = self.one("SELECT store_id FROM vectorstore.stores WHERE id = %s", [id])
        return Store(name, id, number, dimensions, language, capacity)

    def delete_store(self, store: Store) -> None:
        self.run("SELECT vs_delete_store(%s)", [store.name])

    def merge(self, store: Store) -> None:
        self.run("SELECT vs_merge(%s)", [store.name])

    # ---- Rows ----

    def upsert(self, store: Store, rows: Batch) -> list[str]:
        """The ids as the server gives them. A single row takes the scalar form of vs_upsert."""
        if len(rows) == 1:
            id, content, vector, metadata = rows[0]
            return [
                self.one(
                    "SELECT vs_upsert(%s, %s::text, id => %s, embedding => %s::vector, metadata => %s::jsonb)",
                    [store.name, content, id, vector_text(vector), None if metadata is None else json.dumps(metadata)],
                )
            ]
        ids: list[str] = self.one(
            """SELECT vs_upsert(%s, %s::text[], ids => %s::text[], embeddings => %s::text[]::vector[],
                      metadatas => %s::jsonb[])""",
            [
                store.name,
                [row[1] for row in rows],
                [row[0] for row in rows],
                [vector_text(row[2]) for row in rows],
                [None if row[3] is None else json.dumps(row[3]) for row in rows],
            ],
        )
        return ids

    def delete(self, store: Store, ids: Sequence[str]) -> int:
        if len(ids) == 1:
            return int(self.one("SELECT vs_delete(%s, %s::text)", [store.name, ids[0]]))
        return int(self.one("SELECT vs_delete(%s, %s::text[])", [store.name, list(ids)]))

    # ---- Files ----

    def create_file(self, filename: str) -> str:
        made: dict[str, Any] = self.one(
            f"SELECT vectorstore.api_create_file({API_KEY}, %s, 'assistants', 'a text'::bytea, NULL)", [filename]
        )
        return str(made["id"])

    def attach(
        self, store: Store, file: str, attributes: Metadata, chunks: Sequence[str], vectors: Sequence[Vector]
    ) -> list[str]:
        """Ids of the chunks, in order."""
        # Another strategy each time: the same would leave the file as it is.
        attached: dict[str, Any] = self.one(
            f"""SELECT vectorstore.api_attach_file(%s, %s, {API_KEY}, %s, %s::jsonb,
                       jsonb_build_object('once', gen_random_uuid()), ARRAY['none', 'local'], 'differential', 60)""",
            [store.number, store.id, file, json.dumps(attributes)],
        )
        self.run(
            "SELECT vectorstore.api_finish_job(%s, %s, %s, 'a text', %s::text[], %s::text[]::vector[])",
            [store.number, file, attached["job"]["lease"], list(chunks), [vector_text(v) for v in vectors]],
        )
        found = self.run(
            "SELECT id FROM vectorstore.embeddings WHERE store_id = %s AND file_id = %s ORDER BY chunk_index",
            [store.number, file],
        )
        return [id for (id,) in found]

    def update_file(self, store: Store, file: str, attributes: Metadata) -> None:
        self.run(
            f"SELECT vectorstore.api_update_store_file(%s, %s, {API_KEY}, %s, %s::jsonb)",
            [store.number, store.id, file, json.dumps(attributes)],
        )

    def delete_file(self, store: Store, file: str) -> None:
        self.run(f"SELECT vectorstore.api_delete_store_file(%s, %s, {API_KEY}, %s)", [store.number, store.id, file])

    # ---- Reading ----

    def search(self, store: Store, search: Search) -> list[Hit]:
        cursor = self.connection.cursor(row_factory=dict_row)
        cursor.execute(
            """SELECT * FROM vs_search(%s, %s, embedding => %s::vector, k => %s, mode => %s,
                   vector_weight => %s::float8, keyword_weight => %s::float8, filter => %s::jsonb,
                   score_threshold => %s::float8, explain => %s)""",
            [
                store.name,
                search.text,
                None if search.vector is None else vector_text(search.vector),
                search.k,
                search.mode,
                search.vector_weight,
                search.keyword_weight,
                None if search.filter is None else json.dumps(search.filter),
                search.threshold,
                search.explain,
            ],
        )
        return cursor.fetchall()

    def stored(self, store: Store) -> list[tuple[Any, ...]]:
        """All rows as the tables have them: id, content, metadata, file, filename, vector."""
        rows = self.run(
            """SELECT id, content, metadata, file_id, filename, embedding::text
               FROM vectorstore.embeddings WHERE store_id = %s""",
            [store.number],
        )
        # Whole numbers of seven digits are exact in float4.
        return [(*row, tuple(np.fromstring(text[1:-1], sep=",").astype(np.int64).tolist())) for *row, text in rows]

    def counts(self) -> dict[str, tuple[str, int, int]]:
        """Id, number of chunks and of files of each store, by name."""
        rows = self.run("SELECT name, id, chunks, files FROM vs_stores")
        return {name: (id, chunks, files) for name, id, chunks, files in rows}


def new_row(
    id: str, content: str, vector: Vector, metadata: Metadata, lexemes: Mapping[str, int], old: Row | None
) -> Row:
    """What vs_upsert makes of its arguments. A chunk of a file that is replaced stays one of the file."""
    name = metadata.get("filename")
    filename = None if name is None else name if isinstance(name, str) else json.dumps(name)
    return Row(id, content, vector, metadata, lexemes, old.file_id if old else None, filename)
