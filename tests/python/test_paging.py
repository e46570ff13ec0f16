"""Pages of objects with one time of creation, while other objects go: nothing twice, nothing left out."""

import itertools
import uuid

import pytest

COUNT = 250
OTHERS = 100


class Stores:
    def __init__(self, database, **_):
        self.database, self.prefix, self.path = database, uuid.uuid4().hex, "/vector_stores?"
        names = [f"{self.prefix} {n}" for n in range(COUNT + OTHERS)]
        rows = database.execute("SELECT vs_create_store(name) FROM unnest(%s::text[]) AS u(name)", [names]).fetchall()
        self.ids = [id for (id,) in rows]
        database.execute("UPDATE vectorstore.stores SET created_at = '2001-01-01' WHERE id = ANY (%s)", [self.ids])

    def delete(self, http, id):
        http.ok("DELETE", f"/vector_stores/{id}")

    def clear(self):
        self.database.execute("SELECT vs_delete_store(id) FROM vs_stores WHERE name LIKE %s", [self.prefix + "%"])


class Files:
    def __init__(self, database, **_):
        self.database, self.path = database, "/files?purpose=evals&"
        rows = database.execute(
            """SELECT vectorstore.api_create_file(k.key_hash, 'page.txt', 'evals', 'words', NULL)->>'id'
               FROM (SELECT key_hash FROM vectorstore.api_keys WHERE revoked_at IS NULL LIMIT 1) k,
                    generate_series(1, %s)""",
            [COUNT + OTHERS],
        ).fetchall()
        self.ids = [id for (id,) in rows]
        database.execute("UPDATE vectorstore.files SET created_at = '2001-01-01' WHERE id = ANY (%s)", [self.ids])

    def delete(self, http, id):
        http.ok("DELETE", f"/files/{id}")

    def clear(self):
        self.database.execute("DELETE FROM vectorstore.files WHERE id = ANY (%s)", [self.ids])


class StoreFiles:
    """Of one batch, so they have one time; ids that name no file are listed like all others."""

    def __init__(self, client, store, **_):
        self.files = f"/vector_stores/{store.id}/files"
        self.path = self.files + "?"
        self.ids = [f"file-{uuid.uuid4().hex}" for _ in range(COUNT + OTHERS)]
        batch = client.vector_stores.file_batches.create(store.id, file_ids=self.ids).id
        self.batch = f"/vector_stores/{store.id}/file_batches/{batch}/files?"

    def delete(self, http, id):
        http.ok("DELETE", f"{self.files}/{id}")

    def clear(self):
        """They go with their store."""


class BatchFiles(StoreFiles):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.path = self.batch


def pages(http, path, direction, cursor=None):
    """The ids of page after page, in the order asked for."""
    for _ in range(1000):
        page = http.ok("GET", path + (f"&{direction}={cursor}" if cursor else ""))
        ids = [item["id"] for item in page["data"]]
        assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
        yield ids
        if not page["has_more"]:
            return
        cursor = ids[-1] if direction == "after" else ids[0]
    pytest.fail("the pages do not end")


KINDS = [(kind, way) for kind in (Stores, StoreFiles, BatchFiles) for way in ("after", "before")] + [(Files, "after")]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(("kind", "direction"), KINDS)
def test_equals_page_without_gap_or_repetition(database, client, http, store, kind, direction, order):
    objects = kind(database=database, client=client, store=store)
    # Those that go stand among the others, not behind them.
    others = sorted(objects.ids)[: 3 * OTHERS : 3]
    wanted = set(objects.ids) - set(others)
    assert (len(wanted), len(others)) == (COUNT, OTHERS)
    try:
        path = f"{objects.path}order={order}"
        full = list(itertools.chain.from_iterable(pages(http, path + "&limit=100", "after")))
        assert set(objects.ids) <= set(full) and len(set(full)) == len(full)
        left = list(others)
        # Backwards means from the end of the list, which must stay for that.
        start = None if direction == "after" else full[-1]
        seen = [start] if start else []
        for ids in pages(http, path + "&limit=7", direction, start):
            assert len(ids) <= 7
            seen = seen + ids if direction == "after" else ids + seen
            for _ in range(2):
                if left and left[-1] not in {ids[0], ids[-1], start}:
                    objects.delete(http, left.pop())
                elif left:
                    left.insert(0, left.pop())
        assert len(left) < OTHERS / 2, "many were deleted meanwhile"
        assert len(seen) == len(set(seen)), "nothing twice"
        assert wanted <= set(seen), "nothing left out"
        assert seen == [id for id in full if id in set(seen)], "one order for all pages"
    finally:
        objects.clear()
