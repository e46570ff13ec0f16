"""The cache of embeddings that providers made."""

import time

import provider as scripted
from provider_proxy import ROLE, embed, fill, fresh, hits


def test_equal_texts_are_asked_for_once(other, provider, database):
    text, before = fresh(), len(provider.sent("cached"))
    assert embed(other, "cached", [text] * 5) == [scripted.vector(text)] * 5
    assert embed(other, "cached", [text, fresh()])[0] == scripted.vector(text)
    sent = provider.sent("cached")[before:]
    assert [len(body["input"]) for body in sent] == [1, 1]
    deadline = time.monotonic() + 20
    while hits(database, "cached") != (2, 1):
        assert time.monotonic() < deadline, hits(database, "cached")
        time.sleep(0.2)
    [row] = database.execute(
        "SELECT revision, dimensions, used_at > created_at FROM vectorstore.embedding_cache WHERE hits > 0 AND model = 'cached'"
    ).fetchall()
    assert row == ("1", 8, True)


def test_another_revision_is_another_vector(other, provider):
    text, before = fresh(), len(provider.sent("cached"))
    for model in ("cached", "renewed", "cached", "renewed"):
        embed(other, model, [text])
    assert len(provider.sent("cached")) == before + 2, "both have the name 'cached' there"


def test_ingestion_and_search_use_the_cache(other, provider, make_remote_store):
    first, second = make_remote_store("cached"), make_remote_store("cached")
    fill(other, first)
    other.vector_stores.search(first.id, query="harbor master")
    before = len(provider.sent("cached"))
    fill(other, second)
    [best] = other.vector_stores.search(second.id, query="harbor master", max_num_results=1).data
    assert best.filename == "harbor.txt" and len(provider.sent("cached")) == before


def test_the_cache_is_shared_but_for_the_proxy_only(database):
    rights = "SELECT has_table_privilege(%s, 'vectorstore.embedding_cache', 'SELECT, INSERT, UPDATE, DELETE')"
    for role in (ROLE, "vectorstore_app", "vectorstore_admin"):
        assert database.execute(rights, [role]).fetchone() == (False,)
    for role, may in ((ROLE, False), ("vectorstore_app", False), ("vectorstore_admin", True)):
        view = "SELECT has_table_privilege(%s, 'vs_stat_embedding_cache', 'SELECT')"
        assert database.execute(view, [role]).fetchone() == (may,), "how much there is, and nothing of it"
    call = "SELECT has_function_privilege(%s, 'vectorstore.api_cached_embeddings(text,text,integer,bytea[])', 'EXECUTE')"
    assert database.execute(call, [ROLE]).fetchone() == (True,)
    assert database.execute(call, ["vectorstore_admin"]).fetchone() == (False,)


def test_the_cache_is_swept_by_age_and_size(database):
    with database.transaction(force_rollback=True):
        database.execute("DELETE FROM vectorstore.embedding_cache")
        database.execute(
            "INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding, used_at)"
            " SELECT 'm', '1', 3, sha256(int4send(n)), '[1,2,3]', now() - make_interval(days => n) FROM generate_series(1, 100) n"
        )

        def sweep(size, days):
            [swept] = database.execute("SELECT vectorstore.api_sweep_cache(%s, %s)", [size, days * 86400]).fetchone()
            left = "SELECT count(*), max(now() - used_at) FROM vectorstore.embedding_cache"
            count, oldest = database.execute(left).fetchone()
            return swept, count, oldest.days

        assert sweep(10**9, 1000) == (0, 100, 100)
        assert sweep(10**9, 80) == (20, 80, 80)
        assert sweep(10 * 312, 1000) == (70, 10, 10), "the ones that were used last stay"


def test_the_cache_says_what_it_saves(database):
    with database.transaction(force_rollback=True):
        database.execute("DELETE FROM vectorstore.embedding_cache")
        assert database.execute("SELECT * FROM vs_stat_embedding_cache").fetchall() == []
        database.execute(
            "INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding, hits)"
            " SELECT m, r, 3, sha256(int4send(n)), '[1,2,3]', h"
            " FROM (VALUES ('a', '1', 1, 0), ('a', '1', 2, 5), ('a', '1', 3, 2), ('a', '2', 1, 1), ('b', '1', 1, 0)) v (m, r, n, h)"
        )
        rows = database.execute(
            "SELECT model, revision, dimensions, rows, bytes, hits, rows_hit, used_at = now() AND oldest_at = now()"
            " FROM vs_stat_embedding_cache ORDER BY model, revision"
        ).fetchall()
        assert rows == [
            ("a", "1", 3, 3, 3 * 312, 7, 2, True),
            ("a", "2", 3, 1, 312, 1, 1, True),
            ("b", "1", 3, 1, 312, 0, 0, True),
        ]
