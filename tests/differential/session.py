"""Sessions and what each of them must see: transactions, savepoints and snapshots over the expected world."""

from __future__ import annotations

from server import Features, Server
from world import Store, World


class Shared:
    """What is committed, and which open transaction has written to which store.

    One thread drives all sessions, so a session never touches a store that another has open: it would wait for
    ever.
    """

    def __init__(self) -> None:
        self.committed: World = {}
        self.writer: dict[str, Session] = {}
        self.sessions: list[Session] = []

    def in_transaction(self) -> bool:
        return any(session.level for session in self.sessions)


class Session:
    """One connection."""

    def __init__(self, number: int, shared: Shared, features: Features) -> None:
        self.number, self.shared = number, shared
        self.server = Server(features)
        self.forget()
        shared.sessions.append(self)

    def forget(self) -> None:
        """No transaction is open."""
        self.level: str | None = None
        self.snapshot: World = {}
        self.own: dict[str, Store | None] = {}
        self.savepoints: list[dict[str, Store | None]] = []
        self.shared.writer = {name: who for name, who in self.shared.writer.items() if who is not self}

    # ---- What it sees ----

    def sees(self) -> World:
        base = self.snapshot if self.level == "REPEATABLE READ" else self.shared.committed
        seen = dict(base)
        for name, store in self.own.items():
            if store is None:
                seen.pop(name, None)
            else:
                seen[name] = store
        return seen

    def may_write(self, name: str) -> bool:
        if self.shared.writer.get(name, self) is not self:
            return False
        # Writing what changed after the snapshot is a serialization failure by design.
        if self.level == "REPEATABLE READ":
            return self.shared.committed.get(name) is self.snapshot.get(name)
        return True

    def writable(self) -> list[Store]:
        return [store for name, store in self.sees().items() if self.may_write(name)]

    def put(self, name: str, store: Store | None) -> None:
        """A write that the server has acknowledged."""
        if self.level:
            self.own[name] = store
            self.shared.writer[name] = self
        elif store is None:
            self.shared.committed.pop(name, None)
        else:
            self.shared.committed[name] = store

    # ---- Transactions ----

    def begin(self, level: str) -> None:
        if level == "REPEATABLE READ":
            self.server.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            # The snapshot is taken by the first statement.
            self.server.run("SELECT count(*) FROM pg_class WHERE oid = 0")
        else:
            self.server.run("BEGIN ISOLATION LEVEL READ COMMITTED")
        self.level = level
        self.snapshot = dict(self.shared.committed)

    def commit(self) -> None:
        self.server.run("COMMIT")
        own = self.own
        self.forget()
        for name, store in own.items():
            self.put(name, store)

    def rollback(self) -> None:
        self.server.run("ROLLBACK")
        self.forget()

    def savepoint(self) -> None:
        self.server.run("SAVEPOINT here")
        self.savepoints.append(dict(self.own))

    def rollback_to_savepoint(self) -> None:
        self.server.run("ROLLBACK TO SAVEPOINT here; RELEASE SAVEPOINT here")
        self.own = self.savepoints.pop()

    def release_savepoint(self) -> None:
        self.server.run("RELEASE SAVEPOINT here")
        self.savepoints.pop()

    def reconnect(self) -> None:
        """The server rolls back what was open, as a client that goes away leaves it."""
        if self.level:
            self.rollback()
        self.server.connection.close()
        self.server.open()
