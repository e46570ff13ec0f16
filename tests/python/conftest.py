"""Shared by all tests: how the running stack is reached, and stores and files that are deleted after the test.

The stack is named by OPENAI_BASE_URL, OPENAI_API_KEY and DATABASE_URL (a superuser's); scripts/test-python sets them.
"""

import os
import socket
import subprocess
import time
import uuid
from pathlib import Path

import openai
import psycopg
import pytest

import corpus
import reference
from http_client import Http
from proxies import Database, Proxy

pytest_plugins = ["provider_proxy"]
REPOSITORY = Path(__file__).resolve().parents[2]


def read_setting(name):
    """A variable of the environment. Without it nothing can be tested, which must not look like success."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set; start the tests with scripts/test-python")
    return value


@pytest.fixture(scope="session")
def setting():
    return read_setting


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def base_url():
    return read_setting("OPENAI_BASE_URL").rstrip("/")


@pytest.fixture(scope="session")
def api_key():
    return read_setting("OPENAI_API_KEY")


@pytest.fixture(scope="session")
def database_url():
    return read_setting("DATABASE_URL")


@pytest.fixture(scope="session")
def client(base_url, api_key):
    """The official client; an answer that does not fit the SDK's types is an error, and nothing is tried twice."""
    with openai.OpenAI(
        base_url=base_url, api_key=api_key, max_retries=0, timeout=60, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture(scope="session")
def plain_client(base_url, api_key):
    """The official client without strict validation, which refuses the base64 that the SDK asks for and decodes."""
    with openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def async_client(base_url, api_key):
    """Makes asynchronous clients; each is to be opened inside of its own event loop."""
    return lambda: openai.AsyncOpenAI(
        base_url=base_url, api_key=api_key, max_retries=0, timeout=60, _strict_response_validation=True
    )


@pytest.fixture(scope="session")
def http(base_url, api_key):
    return Http(base_url, api_key)


@pytest.fixture(scope="session")
def database(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def drop_store(client):
    """Deletes a store and the files in it."""

    def drop(store):
        files = [file.id for file in client.vector_stores.files.list(store, limit=100)]
        client.vector_stores.delete(store)
        for file in files:
            discard_file(client, file)

    return drop


@pytest.fixture
def make_store(client, drop_store):
    """Creates stores over HTTP and deletes them, and the files in them, after the test."""
    created = []

    def make(**arguments):
        arguments.setdefault("name", f"test-{uuid.uuid4().hex[:12]}")
        store = client.vector_stores.create(**arguments)
        created.append(store.id)
        return store

    yield make
    for store in created:
        try:
            drop_store(store)
        except openai.NotFoundError:
            # Deleted by the test.
            continue


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def make_file(client):
    """Uploads files and deletes them after the test."""
    created = []

    def make(name, content, purpose="assistants", **arguments):
        data = content.encode() if isinstance(content, str) else content
        file = client.files.create(file=(name, data), purpose=purpose, **arguments)
        created.append(file.id)
        return file

    yield make
    for file in created:
        discard_file(client, file)


def discard_file(client, file):
    try:
        client.files.delete(file)
    except openai.APIStatusError as error:
        # Deleted by the test, or an id of a file that never was.
        if error.status_code not in (400, 404):
            raise


@pytest.fixture(scope="session")
def collection(database):
    """A real collection of texts in a store of its own, filled by vs_upsert, with its lexemes and vectors read back."""
    name, texts, queries = corpus.load(REPOSITORY)
    print(f"collection: {name}, {len(texts)} texts, {len(queries)} queries")
    store = f"reference-{uuid.uuid4().hex[:12]}"
    database.execute("SELECT vs_create_store(%s)", [store])
    yield reference.Collection(database, store, texts, queries)
    database.execute("SELECT vs_delete_store(%s)", [store])


@pytest.fixture(scope="session")
def proxy_program():
    return read_setting("VS_PROXY_BIN")


@pytest.fixture(scope="module")
def another_proxy(tmp_path_factory, proxy_program, database_url, api_key):
    """Starts further proxies on the same database; gives a client and the process of each."""
    started = []

    def start(**settings):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        environment = os.environ | settings
        environment |= {"VECTORSTORE_DATABASE_URL": database_url, "VECTORSTORE_LISTEN": address}
        log = tmp_path_factory.mktemp("proxy") / "proxy.log"
        with log.open("w") as output:
            process = subprocess.Popen([proxy_program, "serve"], env=environment, stdout=output, stderr=output)
        started.append(process)
        http = Http(f"http://{address}/v1", api_key)
        for _ in range(200):
            try:
                if http.get("/ready", root=True).status == 200:
                    return http, process
            except ConnectionError:
                assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        pytest.fail(f"a further proxy did not get ready: {log.read_text()}")

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def load_documentation(tmp_path_factory, base_url, api_key, proxy_program):
    """Loads what `make run` loads, our own documentation, into the store with the given name."""
    folder = corpus.documentation_folder(REPOSITORY, tmp_path_factory.mktemp("documentation"))

    def load(store):
        environment = os.environ | {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": api_key}
        done = subprocess.run(
            [proxy_program, "load", str(folder), "--store", store],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return load


@pytest.fixture(scope="module")
def target(client):
    """Id of an empty store that bad requests aim at."""
    store = client.vector_stores.create(name="target").id
    yield store
    client.vector_stores.delete(store)


@pytest.fixture(scope="module")
def postgres_survives(database_url):
    """Postgres was not restarted: neither its first process nor the others, which would end this connection."""
    question = "SELECT pg_postmaster_start_time(), pg_backend_pid()"
    with psycopg.connect(database_url, autocommit=True) as witness:
        before = witness.execute(question).fetchone()
        yield
        assert witness.execute(question).fetchone() == before
        with psycopg.connect(database_url) as fresh:
            assert fresh.execute("SELECT pg_postmaster_start_time()").fetchone()[0] == before[0]


@pytest.fixture
def proxy_survives(http):
    """After the test the proxy still answers, with and without the database."""
    yield
    assert http.get("/health", root=True).status == 200
    assert http.get("/vector_stores?limit=1").status == 200


@pytest.fixture(scope="module")
def own_database(database_url, proxy_program):
    """A database that no other proxy works on."""
    fresh = Database(database_url, proxy_program)
    yield fresh
    fresh.drop()


def start_proxies(database):
    """Starts proxies when asked to, and stops them at the end."""
    started = []

    def start(**settings):
        started.append(Proxy(database, **settings))
        return started[-1].start()

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def start_proxy(own_database):
    """Starts proxies on that database, and stops them after the test."""
    yield from start_proxies(own_database)


@pytest.fixture(scope="module")
def proxies(own_database):
    """The same, but they stay until the last test of the file."""
    yield from start_proxies(own_database)
