"""What health checks and the doctor say when something is wrong, and that they say nothing else."""

import json
import os
import subprocess

import pytest

from proxies import PASSWORD, ROLE, with_database
from serving import wait_until

LIVE = ["/livez", "/health", "/v1/health"]
READY = ["/ready", "/readyz"]


@pytest.fixture
def doctor(own_database):
    """Runs `vectorstore-proxy doctor`; gives its exit code and findings."""

    def run(url=None):
        url = url or with_database(own_database.server, own_database.name, f"{ROLE}:{PASSWORD}")
        environment = os.environ | {"VECTORSTORE_DATABASE_URL": url}
        done = subprocess.run(
            [own_database.program, "doctor", "--json"], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, {row["check"]: row for row in json.loads(done.stdout)}

    return run


def health(proxy, verbose=True):
    reply = proxy.http.get("/healthz?verbose" if verbose else "/healthz", root=True)
    return reply.status, reply.json()


def test_all_is_well(own_database, start_proxy, doctor):
    proxy = start_proxy()
    proxy.http.post("/vector_stores", {"name": "healthy"})
    for path in LIVE + READY:
        assert proxy.http.send("GET", path, root=True, headers={"authorization": None}).status == 200, path
    assert health(proxy, verbose=False) == (200, {"status": "ok", "version": health(proxy)[1]["version"]})
    status, body = health(proxy)
    assert (status, body["status"]) == (200, "ok")
    assert set(body["checks"]) == {"process", "model", "pool", "database", "versions", "jobs", "worker"}
    assert all(check["status"] == "ok" for check in body["checks"].values())
    code, findings = doctor()
    assert code == 0, findings
    assert {row["status"] for row in findings.values()} == {"ok"}, findings
    assert {"proxy: database", "postgres", "pgvector", "versions", "preload", "roles", "grants", "rls"} <= set(findings)
    assert all(row["remedy"] == "" for row in findings.values())


def test_what_is_late_is_degraded(own_database, start_proxy, doctor):
    proxy = start_proxy(ingest_workers=0)
    proxy.http.post("/vector_stores", {"name": "late"})
    own_database.connection.execute("SET session_replication_role = replica")
    own_database.connection.execute(
        "INSERT INTO vectorstore.ingest_jobs (store_id, tenant_id, id, run_at) VALUES (-1, 1, 'x', now() - interval '1 hour')"
    )
    own_database.connection.execute("UPDATE vectorstore.store_counters SET added = 1000000")
    try:
        status, body = health(proxy)
        assert (status, body["status"]) == (200, "degraded")
        assert {name for name, check in body["checks"].items() if check["status"] != "ok"} == {"jobs", "worker"}
        assert all(proxy.http.get(path, root=True).status == 200 for path in READY), "late is not down"
        code, findings = doctor()
        assert code == 0 and {findings[name]["status"] for name in ["jobs", "merges", "proxy: jobs"]} == {"warning"}
    finally:
        own_database.connection.execute("DELETE FROM vectorstore.ingest_jobs")
        own_database.connection.execute("UPDATE vectorstore.store_counters SET added = 0")
        own_database.connection.execute("SET session_replication_role = origin")


def test_an_old_schema_is_down(own_database, start_proxy, doctor):
    proxy = start_proxy()
    own_database.connection.execute("INSERT INTO vectorstore.schema_migrations (version) VALUES (1000)")
    try:
        status, body = health(proxy)
        assert (status, body["status"], body["checks"]["versions"]["status"]) == (503, "down", "down")
        assert all(proxy.http.get(path, root=True).status == 503 for path in READY)
        code, findings = doctor()
        assert code == 1 and findings["versions"]["status"] == "error" and "vs_install" in findings["versions"]["remedy"]
    finally:
        own_database.connection.execute("DELETE FROM vectorstore.schema_migrations WHERE version = 1000")


def test_mistakes_with_roles_are_errors(own_database, doctor):
    own_database.connection.execute("GRANT SELECT ON vectorstore.stores TO vectorstore_app")
    try:
        code, findings = doctor()
        assert code == 1 and findings["grants"]["detail"] == "vectorstore_app may SELECT vectorstore.stores"
    finally:
        own_database.connection.execute("REVOKE SELECT ON vectorstore.stores FROM vectorstore_app")
    code, findings = doctor(with_database(own_database.server, own_database.name))
    assert code == 1 and findings["login"]["status"] == "error"


def test_without_a_database(cluster, own_database, start_proxy, doctor):
    proxy = start_proxy()
    cluster.stop()
    try:
        for path in LIVE:
            assert proxy.http.get(path, root=True).status == 200
        for path in READY:
            reply = proxy.http.get(path, root=True)
            assert reply.status == 503 and reply.seconds < 3
        status, body = health(proxy)
        assert (status, body["status"], body["checks"]["database"]["status"]) == (503, "down", "down")
        code, findings = doctor()
        assert code == 1 and findings["proxy: database"]["status"] == "error"
    finally:
        cluster.start()
        own_database.connection = own_database.connect(autocommit=True)
    taken = wait_until(lambda: proxy.http.get("/ready", root=True).status == 200, 5, "it is ready again")
    print(f"ready {taken:.2f} s after the server was up")
