"""Databases and proxies of the tests' own, on a cluster that they may restart (scripts/test-serving)."""

import os
import subprocess

import psycopg
import pytest

from proxies import Database, Proxy
from serving import slow_down


def read_setting(name):
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set; start the tests with scripts/test-serving")
    return value


@pytest.fixture(scope="session")
def database_url():
    return read_setting("DATABASE_URL")


@pytest.fixture(scope="session")
def proxy_program():
    return read_setting("VS_PROXY_BIN")


@pytest.fixture(scope="module")
def own_database(database_url, proxy_program):
    """A database that no other proxy works on."""
    fresh = Database(database_url, proxy_program)
    yield fresh
    fresh.drop()


@pytest.fixture
def start_proxy(own_database):
    """Starts proxies on that database, and stops them after the test."""
    started = []

    def start(**settings):
        started.append(Proxy(own_database, **settings))
        return started[-1].start()

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def slow(own_database):
    """Makes functions of the database slow, until the end of the test."""
    undone = []

    def make(function, seconds):
        undone.append(slow_down(own_database, function, seconds))

    yield make
    for undo in undone:
        undo()


class Cluster:
    """The server itself."""

    def __init__(self, url):
        self.url = url

    def command(self, word):
        subprocess.run([read_setting("VS_CLUSTER"), "--cluster", word], check=True, timeout=120)

    def stop(self, mode="fast"):
        self.command("immediate" if mode == "immediate" else "stop")

    def start(self):
        self.command("start")

    def terminate_sessions(self):
        """Ends every session but our own."""
        with psycopg.connect(self.url, autocommit=True) as server:
            return server.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()[0]


@pytest.fixture(scope="session")
def cluster(database_url):
    return Cluster(database_url)
