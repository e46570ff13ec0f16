"""A secret is nowhere but at its owner: API keys are made, used, misused and ended while everything is logged, and then
looked for in every place that keeps anything."""

import base64
import hashlib
import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from proxies import ROLE, with_database
from tenancy import new_tenant

PUBLIC = len("vs_live_") + 16 + 1


@pytest.fixture(scope="module")
def server_log(own_database):
    log = Path(own_database.one("SHOW data_directory")).parent / "log" / "postgres.log"
    assert log.is_file(), f"the server's log is not at {log}"
    return log


@pytest.fixture(scope="module")
def talkative(own_database):
    """The database logs each statement with its parameters."""
    name = own_database.name
    for setting in ("log_statement = 'all'", "log_min_duration_statement = 0", "log_parameter_max_length = -1"):
        own_database.connection.execute(f"ALTER DATABASE {name} SET {setting}")
    own_database.connection.execute(f"ALTER DATABASE {name} SET log_parameter_max_length_on_error = -1")
    own_database.connection.execute(f"ALTER DATABASE {name} SET track_activities = on")


def misuse(http):
    """The key where no key belongs, and spoilt."""
    key = http.api_key
    yield http.get("/vector_stores", headers={"authorization": f"Bearer {key[:-1]}"})
    yield http.get("/vector_stores", headers={"authorization": f"Bearer {key}a"})
    yield http.get("/vector_stores", headers={"authorization": f"Bearer {key.upper()}"})
    yield http.get("/vector_stores", headers={"authorization": f"Basic {base64.b64encode(key.encode()).decode()}"})
    yield http.get("/vector_stores", headers={"authorization": key})
    yield http.get("/vector_stores", headers={"authorization": f"Bearer {key}", "x-forwarded-for": "192.0.2.1"})
    yield http.get("/no/such/route")
    yield http.send("PUT", "/vector_stores")
    yield http.post("/vector_stores", b"{")
    yield http.post("/vector_stores", {"name": 7})
    yield http.get("/vector_stores?limit=0")
    yield http.get("/vector_stores/vs_" + "a" * 32)
    yield http.delete("/vector_stores/vs_" + "a" * 32)
    yield http.post("/api_keys", {"role": "operator"})
    yield http.post("/admin/tenants", {"id": "x"})


def use(http, keys):
    """All that keys are for, in successes and failures; returns the answers that must not hold one."""
    tenant = new_tenant(http)
    keys.append(tenant.admin.api_key)
    tenant.fill()
    made = tenant.make_key("write", name="canary")
    keys.append(made["key"])
    client = tenant.with_key(made["key"])
    answers = [*misuse(client), *misuse(tenant.admin), *misuse(http)]
    store = client.ok("POST", "/vector_stores", {"name": "a"}, headers={"idempotency-key": "once"})["id"]
    client.ok("POST", f"/vector_stores/{store}/embeddings", {"content": "A text."})
    answers.append(client.post(f"/vector_stores/{store}/search", {"query": "text"}))
    rotated = tenant.admin.ok("POST", f"/api_keys/{made['id']}/rotate", {"overlap_seconds": 0})
    keys.append(rotated["key"])
    answers += [client.get("/vector_stores"), tenant.with_key(rotated["key"]).get("/vector_stores")]
    answers.append(tenant.admin.post("/api_keys", {}, headers={"idempotency-key": "twice"}))
    answers += [
        tenant.admin.get(path) for path in ("/api_keys", f"/api_keys/{made['id']}", f"/api_keys/{rotated['id']}")
    ]
    tenant.admin.ok("DELETE", f"/api_keys/{made['id']}")
    answers += [client.get("/vector_stores"), client.post("/vector_stores", {})]
    answers += [
        http.get(path, root=True) for path in ("/metrics", "/ready", "/health", "/openapi.json", "/admin/tenants")
    ]
    return answers


def forms(key):
    """The secret part, as it is and as others would write it."""
    secret = key[PUBLIC:]
    yield secret
    yield secret.upper()
    yield secret.encode().hex()
    yield key.encode().hex()
    # Whatever the text in front of it: without the characters at its ends, which depend on that.
    for shift in range(3):
        yield base64.b64encode(b" " * shift + secret.encode()).decode()[4:-4]


def tables(database):
    """All values of all columns of all tables and views that may hold text, as text."""
    with psycopg.connect(with_database(database.server, database.name)) as connection:
        found = connection.execute(
            """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'm', 'v', 'p') AND n.nspname <> 'information_schema'
                 AND c.relname NOT LIKE 'pg_hba%' AND c.relname NOT LIKE 'pg_ident%' ORDER BY 1, 2"""
        ).fetchall()
        for schema, table in found:
            name = f'"{schema}"."{table}"'
            try:
                with connection.transaction():
                    rows = connection.execute(f"SELECT (t.*)::text FROM {name} t").fetchall()
            except psycopg.Error:
                # What the platform has not, or only a standby.
                assert schema == "pg_catalog", name
                continue
            yield name, "\n".join(text for [text] in rows if text)


def dump(setting, database):
    program = Path(
        subprocess.run([setting("VS_PG_CONFIG"), "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
    )
    url = with_database(database.server, database.name)
    return subprocess.run([program / "pg_dump", url], capture_output=True, check=True).stdout.decode()


def activity(database):
    """What the proxy's own role sees of the sessions, and a superuser."""
    login = with_database(database.server, database.name, f"{ROLE}:{ROLE}")
    for connection in (psycopg.connect(login), psycopg.connect(with_database(database.server, database.name))):
        with connection:
            yield "\n".join(
                row[0] for row in connection.execute("SELECT (a.*)::text FROM pg_stat_activity a").fetchall()
            )


def test_a_key_is_nowhere(own_database, talkative, server_log, proxies, setting, tmp_path):
    begin = server_log.stat().st_size
    log = tmp_path / "proxy.log"
    proxy = proxies(output=log, log="debug", ingest_wait=5)
    keys = [own_database.api_key]
    answers = use(proxy.http, keys)
    sessions = list(activity(own_database))
    assert len(set(keys)) == 4 and all(len(key) == PUBLIC + 52 for key in keys)
    assert proxy.stop() == 0

    places = dict(tables(own_database)) | {"pg_dump": dump(setting, own_database)}
    places["pg_stat_activity"] = "\n".join(sessions)
    places["proxy log"] = log.read_text()
    with server_log.open("rb") as file:
        file.seek(begin)
        places["server log"] = file.read().decode(errors="replace")
    places["answers"] = "\n".join(f"{reply.status} {reply.headers} {reply.body}" for reply in answers)
    # The places are the right ones: each knows the key by what is public, or by its hash.
    digest = hashlib.sha256(keys[-1].encode()).hexdigest()
    assert (
        digest in places["server log"] and digest in places["pg_dump"] and digest in places['"vectorstore"."api_keys"']
    )
    assert keys[-1][8:24] in places["proxy log"]
    assert re.search(r"DEBUG|TRACE", places["proxy log"])
    assert "canary" in places["answers"] and "vectorstore-proxy" in places["pg_stat_activity"]
    assert len(places) > 100
    for name, text in places.items():
        for key in keys:
            for form in forms(key):
                assert form not in text, name
