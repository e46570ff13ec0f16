"""The random operations. Each does one thing on the server and, once acknowledged, the same to the expected world."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import LiteralString

import psycopg

from check import TIE, check_counts, check_hits, check_rows, require
from generate import DIMENSIONS, LANGUAGES, Generator
from server import Batch, Given, Lexemes, new_row
from session import Session, Shared
from world import Row, Store

MIN_STORES, MAX_STORES = 4, 9
# Name of the store that is as large as the command line says, and stays.
LARGE = "large"
# Most rows of a store: most are small, which keeps a run short, and some are larger than any hybrid search is deep.
CAPACITIES = [40, 150, 400, 400, 1_500, 3_000]
MAINTENANCE: list[LiteralString] = [
    "VACUUM vectorstore.embeddings",
    "VACUUM",
    "ANALYZE vectorstore.embeddings",
    "VACUUM (FULL, ANALYZE) vectorstore.embeddings",
    "CLUSTER vectorstore.embeddings USING embeddings_pkey",
    "REINDEX TABLE vectorstore.embeddings",
    "CHECKPOINT",
]
# Those that lock out everybody.
ALONE = ("VACUUM (FULL", "CLUSTER", "REINDEX")


class Operations:
    """Draws operations, runs them and counts them."""

    def __init__(self, generator: Generator, shared: Shared, lexemes: Lexemes) -> None:
        self.generator, self.shared, self.lexemes = generator, shared, lexemes
        self.random = generator.random
        self.made = 0
        self.done: dict[str, int] = {}
        self.what = ""
        # Of each search: rows of the store, and hits.
        self.sizes: list[tuple[int, int]] = []
        table: dict[Callable[[Session], bool], float] = {
            self.search: 40,
            self.insert_one: 9,
            self.insert_batch: 6,
            self.replace: 6,
            self.change_metadata: 5,
            self.attach_file: 4,
            self.attach_again: 1,
            self.change_file: 1.5,
            self.delete_file: 1,
            self.delete_one: 4,
            self.delete_many: 3,
            self.refused_batch: 1,
            self.create_store: 1,
            self.drop_store: 0.5,
            self.merge: 4,
            self.maintain: 0.6,
            self.begin: 7,
            self.end: 6,
            self.savepoint: 4,
            self.verify: 1.5,
            self.reconnect: 0.4,
        }
        self.kinds, self.weights = list(table), list(table.values())

    def step(self) -> None:
        """One operation of one session. A draw that is not possible now is followed by another."""
        while True:
            session = self.random.choice(self.shared.sessions)
            kind = self.random.choices(self.kinds, self.weights)[0]
            if len(session.sees()) < MIN_STORES and self.generator.chance(0.5):
                kind = self.create_store
            self.what = f"session {session.number} ({session.level or 'no transaction'}): {kind.__name__}"
            if kind(session):
                self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
                return

    def pick(self, session: Session, filled: bool = False) -> Store | None:
        """A store that the session may write to, and a note of it."""
        stores = [store for store in session.writable() if store.rows or not filled]
        if not stores:
            return None
        store = self.random.choice(stores)
        self.what += f" in {store.name} ({len(store.rows)} rows, {store.dimensions} dimensions)"
        return store

    # ---- Reading ----

    def search(self, session: Session) -> bool:
        stores = list(session.sees().values())
        if not stores:
            return False
        # What the session itself has written is asked more often.
        own = [store for store in session.own.values() if store is not None]
        store = self.random.choice(own if own and self.generator.chance(0.5) else stores)
        self.search_in(session, store)
        return True

    def search_in(self, session: Session, store: Store) -> None:
        search = self.generator.search(store, TIE, self.lexemes.of)
        size = f"{len(store.rows)} rows, {store.dimensions} dimensions, {store.language}"
        self.what += f" in {store.name} ({size}): {search.shown()}"
        hits = session.server.search(store, search)
        check_hits(store, search, hits)
        self.sizes.append((len(store.rows), len(hits)))
        if self.generator.chance(0.1):
            require(hits == session.server.search(store, search), "the same search gave another answer")

    def verify(self, session: Session) -> bool:
        """Rows, counts and a search, of a store that the session sees."""
        seen = session.sees()
        if not seen:
            return False
        check_counts(session.server, seen)
        store = self.random.choice(list(seen.values()))
        check_rows(session.server, store)
        self.search_in(session, store)
        return True

    # ---- Rows ----

    def write(self, session: Session, store: Store, rows: Batch) -> None:
        ids = session.server.upsert(store, rows)
        session.put(store.name, store.with_rows(self.expected_rows(store, ids, rows)))

    def expected_rows(self, store: Store, ids: list[str], rows: Batch) -> list[Row]:
        lexemes = self.lexemes.of_all(store.language, [row[1] for row in rows])
        require(len(ids) == len(rows) == len(set(ids)), f"{len(ids)} ids for {len(rows)} rows")
        made = []
        for id, words, (asked, content, vector, metadata) in zip(ids, lexemes, rows, strict=True):
            require(asked in (None, id), f"the id {id} was returned for {asked}")
            made.append(new_row(id, content, vector, metadata or {}, words, store.rows.get(id)))
        return made

    def fresh(self, store: Store) -> Given:
        self.made += 1
        id = None if self.generator.chance(0.2) else f"r{self.made}"
        metadata = None if self.generator.chance(0.05) else self.generator.metadata()
        return (id, self.generator.text(store), self.generator.vector(store), metadata)

    def insert_one(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or len(store.rows) >= store.capacity:
            return False
        self.write(session, store, [self.fresh(store)])
        return True

    def batch(self, store: Store) -> Batch:
        size = self.random.choice([2, 5, 20, 60, 60, 300, 300, 1_000, 3_000])
        if len(store.rows) < store.capacity / 3 and self.generator.chance(0.4):
            size = store.capacity
        return [self.fresh(store) for _ in range(min(size, store.capacity - len(store.rows), 3_000))]

    def insert_batch(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or len(store.rows) >= store.capacity:
            return False
        rows = self.batch(store)
        self.what += f": {len(rows)} rows"
        self.write(session, store, rows)
        return True

    def replace(self, session: Session) -> bool:
        """Other content and vectors under ids that exist, some new ones among them."""
        store = self.pick(session, filled=True)
        if store is None:
            return False
        ids = self.random.sample(store.ids, min(len(store.ids), self.random.choice([1, 1, 3, 20, 100])))
        rows: Batch = [(id, *self.fresh(store)[1:]) for id in ids]
        if self.generator.chance(0.3) and len(store.rows) < store.capacity:
            rows.insert(self.random.randint(0, len(rows)), self.fresh(store))
        self.write(session, store, rows)
        return True

    def change_metadata(self, session: Session) -> bool:
        """The same content and vectors with other metadata."""
        store = self.pick(session, filled=True)
        if store is None:
            return False
        ids = self.random.sample(store.ids, min(len(store.ids), self.random.choice([1, 1, 2, 10, 50])))
        old = [store.rows[id] for id in ids]
        self.write(session, store, [(row.id, row.content, row.vector, self.generator.metadata()) for row in old])
        return True

    def delete_one(self, session: Session) -> bool:
        store = self.pick(session, filled=True)
        if store is None:
            return False
        id = "nobody" if self.generator.chance(0.05) else self.random.choice(store.ids)
        deleted = session.server.delete(store, [id])
        require(deleted == (id in store.rows), f"{deleted} rows deleted by the id {id}")
        session.put(store.name, store.without([id]))
        return True

    def delete_many(self, session: Session) -> bool:
        store = self.pick(session, filled=True)
        if store is None:
            return False
        large = len(store.rows) > max(CAPACITIES)
        shares = [0.01, 0.03, 0.1] if large else [0.02, 0.02, 0.05, 0.05, 0.1, 0.2, 0.5, 1.0]
        share = self.random.choice(shares)
        ids = self.random.sample(store.ids, max(1, int(share * len(store.ids))))
        deleted = session.server.delete(store, [*ids, "nobody"])
        require(deleted == len(ids), f"{deleted} rows deleted by {len(ids)} ids")
        session.put(store.name, store.without(ids))
        return True

    def refused_batch(self, session: Session) -> bool:
        """All or nothing: the last row is bad, so none is written."""
        store = self.pick(session)
        if store is None:
            return False
        rows = [self.fresh(store) for _ in range(5)]
        id, content, vector, metadata = rows[-1]
        rows[-1] = (id, content, vector * 0, metadata)
        if session.level:
            session.savepoint()
        try:
            session.server.upsert(store, rows)
        except psycopg.errors.InvalidParameterValue:
            if session.level:
                session.rollback_to_savepoint()
            return True
        require(False, "a vector of zeros was taken")
        return True

    # ---- Files ----

    def attach_file(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or len(store.rows) + 12 > store.capacity:
            return False
        filename = self.random.choice(["a.txt", "b.txt", "guide.md"])
        self.attach(session, store, session.server.create_file(filename), filename)
        return True

    def attach_again(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or not store.files or len(store.rows) + 12 > store.capacity:
            return False
        file = self.random.choice(list(store.files))
        self.attach(session, store, file, store.files[file])
        return True

    def attach(self, session: Session, store: Store, file: str, filename: str) -> None:
        attributes = self.generator.attributes()
        chunks = [self.generator.text(store) for _ in range(self.random.choice([1, 2, 5, 12]))]
        vectors = [self.generator.vector(store) for _ in chunks]
        ids = session.server.attach(store, file, attributes, chunks, vectors)
        require(len(ids) == len(chunks), f"{len(ids)} chunks of {len(chunks)} are there")
        lexemes = self.lexemes.of_all(store.language, chunks)
        rows = [
            Row(id, content, vector, attributes, words, file, filename)
            for id, content, vector, words in zip(ids, chunks, vectors, lexemes, strict=True)
        ]
        session.put(store.name, store.with_file(file, filename, rows))

    def change_file(self, session: Session) -> bool:
        """Other attributes, for all chunks of the file."""
        store = self.pick(session)
        if store is None or not store.files:
            return False
        file, attributes = self.random.choice(list(store.files)), self.generator.attributes()
        session.server.update_file(store, file, attributes)
        rows = [dataclasses.replace(row, metadata=attributes) for row in store.rows_of(file)]
        session.put(store.name, store.with_rows(rows))
        return True

    def delete_file(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or not store.files:
            return False
        file = self.random.choice(list(store.files))
        session.server.delete_file(store, file)
        session.put(store.name, store.without_file(file))
        return True

    # ---- Stores ----

    def create_large(self, session: Session, rows: int) -> None:
        """A store with this many rows, of few dimensions, so that the naive side keeps up."""
        store = session.server.create_store(LARGE, 8, "english", rows + 1_000)
        session.put(LARGE, store)
        while len(store.rows) < rows:
            self.write(session, store, [self.fresh(store) for _ in range(min(3_000, rows - len(store.rows)))])
            store = session.sees()[LARGE]

    def create_store(self, session: Session) -> bool:
        seen = session.sees()
        # Some names come back after their store was dropped.
        name = f"store {self.random.randint(1, 2 * MAX_STORES)}"
        taken = name in seen or name in self.shared.committed or name in self.shared.writer
        if taken or len(self.shared.committed) + len(self.shared.writer) >= MAX_STORES:
            return False
        dimensions, language = self.random.choice(DIMENSIONS), self.random.choice(LANGUAGES)
        capacity = self.random.choice(CAPACITIES)
        if dimensions > 64:
            capacity = min(capacity, 400)
        session.put(name, session.server.create_store(name, dimensions, language, capacity))
        return True

    def drop_store(self, session: Session) -> bool:
        store = self.pick(session)
        if store is None or store.name == LARGE or len(self.shared.committed) <= MIN_STORES:
            return False
        session.server.delete_store(store)
        session.put(store.name, None)
        return True

    def merge(self, session: Session) -> bool:
        if not session.server.features.merge:
            return False
        store = self.pick(session)
        if store is None:
            return False
        session.server.merge(store)
        # The content is as before, but a new object: snapshots taken earlier must not write to the store.
        session.put(store.name, dataclasses.replace(store))
        return True

    def maintain(self, session: Session) -> bool:
        statement = self.random.choice(MAINTENANCE)
        if session.level or (statement.startswith(ALONE) and self.shared.in_transaction()):
            return False
        self.what += f": {statement}"
        session.server.run(statement)
        return True

    # ---- Transactions ----

    def begin(self, session: Session) -> bool:
        if session.level:
            return False
        session.begin(self.random.choice(["READ COMMITTED", "REPEATABLE READ"]))
        return True

    def end(self, session: Session) -> bool:
        if not session.level:
            return False
        if self.generator.chance(0.6):
            session.commit()
        else:
            session.rollback()
        return True

    def savepoint(self, session: Session) -> bool:
        if not session.level:
            return False
        if not session.savepoints or self.generator.chance(0.4):
            session.savepoint()
        elif self.generator.chance(0.5):
            session.rollback_to_savepoint()
        else:
            session.release_savepoint()
        return True

    def reconnect(self, session: Session) -> bool:
        session.reconnect()
        self.vary(session)
        return True

    def vary(self, session: Session) -> None:
        """Each session has a tail limit of its own, where that exists and can be set."""
        if session.server.features.tail_limit:
            limit = self.random.choice([1, 10, 100, 1_000])
            with contextlib.suppress(psycopg.errors.CantChangeRuntimeParam):
                session.server.run("SELECT set_config('vectorstore.tail_limit', %s, false)", [str(limit)])
