"""Three tenants under random operations with keys of all kinds, against a model of who may see what.

VS_MODEL_SEED and VS_MODEL_COUNT repeat a run: the operations of a seed are always the same, so that a smaller count is
the same run, ended earlier. A failure names the least count that shows it.
"""

import os
import random

import psycopg
import pytest

from http_client import UNKNOWN, UNKNOWN_KEY
from proxies import ROLE, with_database
from tenancy import new_tenant
from tenant_faces import Refusal, Sql, Web
from tenant_model import Key, Tenant
from tenant_operations import Model

SEED = int(os.environ.get("VS_MODEL_SEED", "0")) or random.randrange(1, 2**31)
COUNT = int(os.environ.get("VS_MODEL_COUNT", "10000"))
# Every so many operations come so many over HTTP.
PERIOD, OVER_HTTP = 1000, 100


@pytest.fixture(scope="module")
def faces(own_database, proxies):
    proxy = proxies(ingest_wait=10, ingest_workers=0)
    login = with_database(own_database.server, own_database.name, f"{ROLE}:{ROLE}")
    with psycopg.connect(login, autocommit=True) as connection:
        yield proxy.http, Sql(connection), Web(proxy.http)


def run(face, name, key, arguments):
    try:
        return getattr(face, name)(key.secret, *arguments), None
    except Refusal as refusal:
        return None, refusal.status


def judge(expect, value):
    try:
        return expect(value), None
    except Refusal as refusal:
        return None, refusal.status


def test_each_tenant_sees_what_is_its_own(faces):
    operator, sql, web = faces
    print(f"VS_MODEL_SEED={SEED} VS_MODEL_COUNT={COUNT}")
    tenants = []
    for _ in range(3):
        made, tenant = new_tenant(operator), Tenant()
        [first] = made.admin.ok("GET", "/api_keys")["data"]
        tenant.keys.append(Key(first["id"], made.admin.api_key, tenant, "admin"))
        tenants.append(tenant)
    nobody = Key("key_" + UNKNOWN, UNKNOWN_KEY, tenants[0], "admin", dead=True)
    tenants[0].keys.append(nobody)
    model = Model(tenants, random.Random(SEED))
    seen = {}
    for number in range(COUNT):
        name, key, arguments, expect = model.next()
        face = web if number % PERIOD >= PERIOD - OVER_HTTP else sql
        got = run(face, name, key, arguments)
        expected = judge(expect, got[0])
        seen[name, got[1]] = seen.get((name, got[1]), 0) + 1
        assert got == expected, (
            f"VS_MODEL_SEED={SEED} VS_MODEL_COUNT={number + 1}: {type(face).__name__}.{name} of "
            f"{key.role} {key.id} (stores {key.stores}, level {key.level}) with {arguments}: {got}, not {expected}"
        )
    if COUNT >= 10000:
        # Every operation was allowed and refused.
        for name in Model.WEIGHTS:
            assert seen.get((name, None), 0) > 5, name
            assert any(seen.get((name, status)) for status in (401, 403, 404)), name
    for tenant in tenants:
        for key in tenant.keys:
            for face in (sql, web):
                for name in ("list_stores", "list_files"):
                    arguments, expect = getattr(model, name)(key)
                    assert run(face, name, key, arguments) == judge(expect, None), (name, key)
        assert set(sql.list_keys(tenant.keys[0].secret)) <= {key.id for key in tenant.keys}
