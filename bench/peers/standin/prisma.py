"""Stands in for Prisma's Python client, whose engine is a program that no package registry has.

litellm-pgvector uses three calls of it and writes its SQL itself. Here they go to PostgreSQL by psycopg, in the same
process and in a pool: less work than to hand each statement as JSON over HTTP to another process, so that what is
measured is litellm-pgvector at its best.
"""

from __future__ import annotations

import os

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool


async def _prepare(connection: psycopg.AsyncConnection) -> None:
    connection.prepare_threshold = 0


class Prisma:
    """A pool of connections to DATABASE_URL."""

    async def connect(self) -> None:
        """Opens the pool."""
        self.pool = AsyncConnectionPool(
            os.environ["DATABASE_URL"],
            min_size=4,
            max_size=8,
            open=False,
            configure=_prepare,
            kwargs={"autocommit": True, "row_factory": dict_row, "cursor_factory": psycopg.AsyncRawCursor},
        )
        await self.pool.open(wait=True)

    async def disconnect(self) -> None:
        """Closes it."""
        await self.pool.close()

    async def query_raw(self, statement: str, *values: object) -> list[dict]:
        """The rows that a statement gives; its places for values are $1, $2, ..."""
        given = [Jsonb(value) if isinstance(value, (dict, list)) else value for value in values]
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, given)
            return await cursor.fetchall() if cursor.description else []
