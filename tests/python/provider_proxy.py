"""Fixtures of the tests of embedding providers: a second proxy of ours with providers, one of which is the first proxy and
the others a server that fails as it is told to."""

import uuid
from urllib.parse import urlsplit

import openai
import pytest

import provider as scripted
from http_client import Http

ROLE = "vs_providers_test"
FACTS = {
    "harbor.txt": "The harbor master logs every vessel that enters the bay.",
    "bread.txt": "Knead the dough for ten minutes and let it rise.",
    "owl.txt": "Owls hunt mice in silence at night.",
}
MODEL = """
[models.{name}]
kind = "openai"
base_url = "{url}"
dimensions = 8
"""
# What each model of the scripted provider is for, and its settings.
MODELS = {
    "plain": 'api_key_env = "SCRIPTED_KEY"\nbatch_size = 10',
    "sized": "send_dimensions = true",
    "retried": "",
    "hopeless": "retries = 1",
    "cached": "",
    "renewed": 'model = "cached"\nrevision = "2"',
    "slow": "query_timeout_seconds = 1\nbreaker_failures = 100",
    "impatient": "timeout_seconds = 1\nretries = 0",
    "breaking": "retries = 0\nbreaker_failures = 3\nbreaker_seconds = 2",
    "degraded": "retries = 0\nbreaker_failures = 100",
    "flaky": "breaker_failures = 100",
}


@pytest.fixture(scope="module")
def provider():
    server = scripted.Provider()
    yield server
    server.close()


@pytest.fixture(scope="module")
def second(provider, proxy_program, database, database_url, base_url, api_key, tmp_path_factory):
    """Base URL of a second proxy on the same database, with providers."""
    database.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' IN ROLE vectorstore_app;"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    parts = urlsplit(database_url)
    url = f"postgresql://{ROLE}:{ROLE}@127.0.0.1:{database.info.port}{parts.path}"
    folder = tmp_path_factory.mktemp("providers")
    entries = [MODEL.format(name=name, url=provider.url) + more + "\n" for name, more in MODELS.items()]
    mirror = MODEL.format(name="mirror", url=base_url).replace("= 8", "= 256") + 'model = "local"\napi_key_env = "MIRROR_KEY"\n'
    (folder / "providers.toml").write_text("".join(entries) + mirror)
    database.execute("DELETE FROM vectorstore.embedding_cache")
    with scripted.proxy(
        proxy_program,
        url,
        folder / "providers.toml",
        folder / "log",
        MIRROR_KEY=api_key,
        SCRIPTED_KEY="a secret",
    ) as address:
        yield address


@pytest.fixture(scope="module")
def other(second, api_key):
    with openai.OpenAI(base_url=second, api_key=api_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def other_http(second, api_key):
    return Http(second, api_key)


@pytest.fixture
def make_remote_store(other):
    created = []

    def make(model):
        store = other.vector_stores.create(name=f"test-{uuid.uuid4().hex[:8]}", extra_body={"embedding_model": model})
        created.append(store.id)
        return store

    yield make
    for store in created:
        files = [file.id for file in other.vector_stores.files.list(store)]
        other.vector_stores.delete(store)
        for file in files:
            other.files.delete(file)


def embed(client, model, texts, **arguments):
    return [item.embedding for item in client.embeddings.create(model=model, input=texts, **arguments).data]


def fill(client, store):
    for name, text in FACTS.items():
        file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, text.encode()))
        assert (file.status, file.last_error) == ("completed", None)


def fresh():
    return f"text {uuid.uuid4().hex}"


def hits(database, model):
    row = "SELECT count(*), coalesce(sum(hits), 0)::int FROM vectorstore.embedding_cache WHERE model = %s"
    return database.execute(row, [model]).fetchone()
