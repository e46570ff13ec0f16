"""What the database is expected to hold. Everything here is immutable, so that a snapshot is a reference."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.int64]
Metadata = dict[str, Any]


def canonical(value: object) -> str:
    """JSON text that is equal for equal JSON values, and keeps 1 and true apart."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class Row:
    """One chunk. `lexemes` counts how often each stands in the content (Postgres' answer)."""

    id: str
    content: str
    vector: Vector
    metadata: Metadata
    lexemes: Mapping[str, int]
    file_id: str | None = None
    filename: str | None = None

    @cached_property
    def length(self) -> int:
        return sum(self.lexemes.values())

    def seen_by_filter(self) -> Metadata:
        """The object that a filter looks at: metadata, above the two keys that need none."""
        filename = "document.txt" if self.filename is None else self.filename
        return {"filename": filename, "file_id": self.file_id or self.id} | self.metadata

    def stored(self) -> tuple[str, str, str, str | None, str | None, tuple[int, ...]]:
        """What of a row must survive anything."""
        place = (self.file_id, self.filename)
        return (self.id, self.content, canonical(self.metadata), *place, tuple(int(x) for x in self.vector))


@dataclass(frozen=True, eq=False)
class Store:
    """One store at one moment. `files` maps the id of each attached file to its name."""

    name: str
    id: str
    number: int
    dimensions: int
    language: str
    capacity: int
    rows: Mapping[str, Row] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def with_rows(self, rows: Iterable[Row]) -> Store:
        return dataclasses.replace(self, rows=dict(self.rows) | {row.id: row for row in rows})

    def without(self, ids: Iterable[str]) -> Store:
        gone = set(ids)
        return dataclasses.replace(self, rows={id: row for id, row in self.rows.items() if id not in gone})

    def with_file(self, file_id: str, filename: str, rows: Iterable[Row]) -> Store:
        """Attached, or attached again: then the old chunks are gone."""
        bare = self.without_file(file_id)
        return dataclasses.replace(bare.with_rows(rows), files=dict(self.files) | {file_id: filename})

    def without_file(self, file_id: str) -> Store:
        kept = {id: row for id, row in self.rows.items() if row.file_id != file_id}
        return dataclasses.replace(self, rows=kept, files={id: n for id, n in self.files.items() if id != file_id})

    def rows_of(self, file_id: str) -> list[Row]:
        return [row for row in self.rows.values() if row.file_id == file_id]

    # ---- Derived once for each state; searches read these ----

    @cached_property
    def ids(self) -> list[str]:
        return list(self.rows)

    @cached_property
    def place(self) -> dict[str, int]:
        return {id: at for at, id in enumerate(self.rows)}

    @cached_property
    def units(self) -> NDArray[np.float64]:
        """Vectors of length 1, one row each."""
        if not self.rows:
            return np.zeros((0, self.dimensions))
        matrix = np.array([row.vector for row in self.rows.values()], dtype=np.float64)
        units: NDArray[np.float64] = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return units

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        return np.array([row.length for row in self.rows.values()], dtype=np.float64)


# Stores by name.
World = dict[str, Store]
