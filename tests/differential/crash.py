"""Crashes and copies: kill -9 in the middle of a write, and dump and restore into a fresh database.

When a kill strikes is not reproducible by the seed. Whether the write was there afterwards is printed with a
difference, and can be forced in another run: then the expected world takes the same course.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from check import Mismatch, check_counts, check_rows
from operations import Operations
from server import Batch, Features, Server
from session import Session
from world import Store, World

# A restart that takes longer is a finding.
RESTART_SECONDS = 60


@dataclass
class Tally:
    """What the writes under way came to."""

    acknowledged: int = 0
    whole: int = 0
    nothing: int = 0


@dataclass
class Crashes:
    """Kills backends and servers, and checks what is there afterwards."""

    operations: Operations
    features: Features
    # Does a write as if it had no transaction: proves that a torn write is found.
    torn: bool = False
    tally: Tally = field(default_factory=Tally)
    # Of each crash: A, the write was there afterwards, or B. Given for the first crashes, the outcome is forced.
    outcomes: str = ""
    forced: str = ""
    # Seconds that each kind of write takes, to kill in its middle.
    pace: dict[str, float] = field(default_factory=dict)

    def crash(self) -> None:
        """One kill in the middle of one write."""
        operations, shared = self.operations, self.operations.shared
        random = operations.random
        for session in shared.sessions:
            # Some transactions stay open: their writes must vanish.
            if session.level and random.random() < 0.5:
                session.rollback()
        free = [store for name, store in shared.committed.items() if name not in shared.writer]
        while not free:
            session = next(session for session in shared.sessions if session.level)
            session.rollback()
            free = [store for name, store in shared.committed.items() if name not in shared.writer]
        store = max(random.sample(free, min(2, len(free))), key=lambda store: len(store.rows))
        victim = Server(self.features)
        kind, write, after = self.draw(victim, store)
        whole_server = random.random() < 0.5
        delay = random.random() * 1.1 * self.pace.get(kind, 0.2)
        target = "the server" if whole_server else "the backend"
        operations.what = f"kill -9 of {target} {delay:.3f} s into {kind} in {store.name} ({len(store.rows)} rows)"

        pids = [pid for (pid,) in victim.run("SELECT pid FROM pg_stat_activity")]
        forced, self.forced = self.forced[:1], self.forced[1:]
        if forced == "A":
            write()
        if forced:
            kind, write, delay = "nothing", list, 0.1
        acknowledged, taken = self.strike(write, delay, [postmaster(), *pids] if whole_server else [victim.pid()])
        acknowledged = forced == "A" if forced else acknowledged
        self.pace[kind] = taken if acknowledged else max(self.pace.get(kind, 0.2), 1.1 * delay)
        self.recover(whole_server)
        self.settle(store, after, acknowledged)
        check_world(operations, shared.sessions[0], shared.committed)

    def draw(self, victim: Server, store: Store) -> tuple[str, Callable[[], object], Store]:
        """A write for the victim: its kind, how it is done, and the store after it."""
        operations = self.operations
        random = operations.random
        ids = random.sample(store.ids, len(store.rows) // 2)
        batch: Batch = []
        for n in range(min(store.capacity, random.choice([30, 300, 1_500]))):
            _, content, vector, metadata = operations.fresh(store)
            batch.append((ids[n] if n < len(ids) and n % 3 == 0 else f"c{operations.made}", content, vector, metadata))
        rows = operations.expected_rows(store, [str(row[0]) for row in batch], batch)
        written = store.with_rows(rows)
        # Deleted first, a chunk of a file comes back as one of its own.
        loose = [dataclasses.replace(row, file_id=None) if row.id in ids else row for row in rows]
        replaced = store.without(ids).with_rows(loose)

        def upsert() -> None:
            pieces = [batch[n : n + 5] for n in range(0, len(batch), 5)] if self.torn else [batch]
            for piece in pieces:
                victim.upsert(store, piece)

        def transaction() -> None:
            victim.run("BEGIN")
            victim.delete(store, ["nobody", *ids])
            victim.upsert(store, batch)
            victim.run("COMMIT")

        kinds: dict[str, tuple[Callable[[], object], Store]] = {
            "a batch": (upsert, written),
            "a transaction": (transaction, replaced),
            "a deletion": (lambda: victim.delete(store, ["nobody", *ids]), store.without(ids)),
        }
        if self.features.merge:
            kinds["a merge"] = (lambda: victim.merge(store), store)
        kind = random.choice([*kinds, "a batch", *(["a merge"] * 2 if self.features.merge else [])])
        write, after = kinds[kind]
        return kind, write, after

    def strike(self, write: Callable[[], object], delay: float, pids: list[int]) -> tuple[bool, float]:
        """Starts the write, waits, kills. Whether the write was acknowledged, and how long it took."""
        outcome: list[float] = []
        begin = time.monotonic()

        def run() -> None:
            try:
                write()
                outcome.append(time.monotonic() - begin)
            except psycopg.OperationalError:
                # The connection is gone.
                pass

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(delay)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        thread.join()
        return bool(outcome), outcome[0] if outcome else 0.0

    def recover(self, whole_server: bool) -> None:
        """Waits for the server, which restarts itself after the death of a backend, and connects every session anew."""
        shared = self.operations.shared
        deadline = time.monotonic() + RESTART_SECONDS
        if not whole_server:
            # Until the postmaster has noticed, it lets clients in, only to throw them out.
            self.await_reset(shared.sessions[0], deadline)
        self.operations.lexemes.forget_connection()
        for session in shared.sessions:
            session.server.connection.close()
            session.forget()
        if whole_server:
            subprocess.run([os.environ["VS_RESTART"], "--restart"], check=True, stdout=subprocess.DEVNULL)
        for session in shared.sessions:
            while True:
                try:
                    session.server.open()
                    break
                except psycopg.OperationalError as error:
                    if time.monotonic() > deadline:
                        raise Mismatch(f"no connection {RESTART_SECONDS} s after the crash: {error}") from None
                    time.sleep(0.1)
            self.operations.vary(session)

    def await_reset(self, session: Session, deadline: float) -> None:
        """Waits until the postmaster has ended this session, as it ends all when one was killed."""
        while time.monotonic() < deadline:
            try:
                session.server.run("SELECT 1")
            except psycopg.OperationalError:
                return
            time.sleep(0.02)
        raise Mismatch("the death of a backend goes unnoticed")

    def settle(self, store: Store, after: Store, acknowledged: bool) -> None:
        """An acknowledged write is there; another is there as a whole or not at all. The world takes what is true."""
        shared = self.operations.shared
        server = shared.sessions[0].server
        try:
            check_rows(server, after)
            shared.committed[store.name] = after
            self.outcomes += "A"
        except Mismatch:
            if acknowledged:
                raise
            check_rows(server, store)
            self.outcomes += "B"
        self.tally.acknowledged += acknowledged
        if not acknowledged:
            whole = shared.committed[store.name] is after and after is not store
            self.tally.whole += whole
            self.tally.nothing += not whole


def postmaster() -> int:
    return int(Path(os.environ["VS_DATA"], "postmaster.pid").read_text().split()[0])


def check_world(operations: Operations, session: Session, world: World, searches: int = 2) -> None:
    """Rows and counts of all stores, and some searches in each."""
    check_counts(session.server, world)
    before = operations.what
    for store in world.values():
        check_rows(session.server, store)
        for _ in range(searches):
            operations.what = f"{before}, then a search"
            operations.search_in(session, store)
    operations.what = before


def copy_database(operations: Operations, features: Features, spoil: str = "") -> None:
    """Dump, restore into a fresh database, compare all stores there, and write to them.

    `spoil` is SQL run in the copy before it is compared: proves that a lost row is found.
    """
    committed = dict(operations.shared.committed)
    operations.what = "dump and restore"
    source, copy = os.environ["PGDATABASE"], f"{os.environ['PGDATABASE']}_copy"
    folder, bin = Path(os.environ["VS_WORK"]), Path(os.environ["VS_BIN"])
    admin = Server(features, "postgres")
    admin.connection.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
    admin.connection.execute(f'CREATE DATABASE "{copy}"')
    dump = folder / "dump"
    subprocess.run([bin / "pg_dump", "-Fc", "-f", dump, source], check=True)
    subprocess.run([bin / "pg_restore", "--exit-on-error", "-d", copy, dump], check=True)
    dump.unlink()

    shared, session = operations.shared, operations.shared.sessions[0]
    original = session.server
    # The first session looks at the copy for a while. Its transaction, if there is one, waits in the original.
    own, level, session.own, session.level = session.own, session.level, {}, None
    try:
        session.server = Server(features, copy)
        if spoil:
            session.server.connection.execute(spoil.encode())
        check_world(operations, session, shared.committed)
        for name in list(shared.committed):
            store = shared.committed[name]
            if len(store.rows) < store.capacity:
                operations.what = f"a write after the restore, in {name}"
                operations.write(session, store, [operations.fresh(store)])
        operations.what = "writes after the restore"
        check_world(operations, session, shared.committed, searches=1)
    finally:
        session.server.connection.close()
        session.server, session.own, session.level = original, own, level
        shared.committed = committed
        admin.connection.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')
        admin.connection.close()
