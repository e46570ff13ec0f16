"""The snippets of the README do what they say: SQL in one psql session, shell and Python against the running stack."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import corpus

README = Path(__file__).resolve().parents[2] / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The store that the README asks, with the documentation in it.
DEMO = "docs"


def snippets(language):
    found = [match[2] for match in FENCE.finditer(README.read_text(encoding="utf-8")) if match[1] == language]
    assert found, f"README.md has no {language} snippet"
    return found


def first_line(snippet):
    return snippet.strip().split("\n", 1)[0][:50]


def libpq_variables(url):
    """The same as environment variables: arguments, which hold a password, can be read by every user."""
    words = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    return {words[name]: value for name, value in conninfo_to_dict(url).items() if name in words}


@pytest.fixture
def psql(setting):
    pg_config = setting("VS_PG_CONFIG")
    folder = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{folder}/psql"


@pytest.fixture
def fresh_database(database_url, repository):
    """A database as `make run` leaves it: the extension, and the documentation in a store."""
    name = f"readme_{uuid.uuid4().hex[:12]}"
    parts = urlsplit(database_url)
    url = urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION vectorstore CASCADE")
                connection.execute("SELECT vs_create_store(%s)", [DEMO])
                texts = corpus.paragraphs(repository)
                files = [f'{{"filename": "{id.split("#")[0]}"}}' for id in texts]
                connection.execute(
                    "SELECT vs_upsert(%s, %s::text[], metadatas => %s::jsonb[])", [DEMO, list(texts.values()), files]
                )
            yield url
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def demo_store(client, load_documentation, drop_store):
    """The store of the snippets: the one that is there, or one made for the test."""
    if any(store.name == DEMO for store in client.vector_stores.list(limit=100)):
        yield
        return
    load_documentation(DEMO)
    [store] = [store.id for store in client.vector_stores.list(limit=100) if store.name == DEMO]
    yield
    drop_store(store)


@pytest.fixture
def environment(base_url, api_key, database_url):
    return os.environ | {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": api_key, "DATABASE_URL": database_url}


@pytest.fixture
def nothing_left(client, drop_store):
    """Takes away the stores and files that a snippet leaves behind."""

    def present():
        return {store.id for store in client.vector_stores.list(limit=100)}, {file.id for file in client.files.list()}

    stores, files = present()
    yield
    for store in present()[0] - stores:
        drop_store(store)
    for file in present()[1] - files:
        client.files.delete(file)


def test_sql_snippets_run_in_one_session(psql, fresh_database):
    session = subprocess.run(
        [psql, "-X", "-v", "ON_ERROR_STOP=1"],
        env=os.environ | libpq_variables(fresh_database),
        input="\n".join(snippets("sql")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert session.returncode == 0, session.stderr
    assert "ERROR" not in session.stderr, session.stderr
    assert "(0 rows)" not in session.stdout, "a snippet that finds nothing shows nothing"


@pytest.mark.parametrize("snippet", snippets("sh"), ids=first_line)
@pytest.mark.usefixtures("demo_store", "nothing_left")
def test_shell_snippets_run(environment, snippet):
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=snippet,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "a snippet shows something"
    assert '"error"' not in done.stdout


@pytest.mark.parametrize("snippet", snippets("python"), ids=first_line)
@pytest.mark.usefixtures("demo_store", "nothing_left")
def test_python_snippets_run(environment, snippet, tmp_path):
    done = subprocess.run(
        [sys.executable, "-"],
        input=snippet,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "a snippet shows something"
