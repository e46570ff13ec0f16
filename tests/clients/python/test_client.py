"""The document is valid OpenAPI 3.1, and the client that openapi-python-client makes of it works."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

DOCUMENT = Path(__file__).parents[3] / "proxy" / "openapi.json"
URL = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
TEXT = "Rockets burn liquid oxygen."


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """The name of the generated package, which can be imported; a part that the generator has to skip is a failure."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.json"
    # Without formatters: nobody reads the code.
    settings = {"post_hooks": [], "content_type_overrides": {"application/openmetrics-text": "text/plain"}}
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(DOCUMENT), "--meta", "none"]
    command += ["--config", str(config), "--output-path", str(folder / "vectorstore_client"), "--fail-on-warning"]
    subprocess.run(command, check=True, timeout=120)
    sys.path.insert(0, str(folder))
    yield "vectorstore_client"
    sys.path.remove(str(folder))


@pytest.fixture
def load(generated):
    """Imports a module of the generated package."""
    return lambda name: importlib.import_module(f"{generated}.{name}")


@pytest.fixture
def connect(generated):
    """Makes clients."""
    package = importlib.import_module(generated)
    return lambda key: package.AuthenticatedClient(base_url=URL, token=key, timeout=httpx.Timeout(60))


@pytest.fixture
def client(connect):
    return connect(os.environ["OPENAI_API_KEY"])


def test_the_document_is_valid():
    document = json.loads(DOCUMENT.read_text())
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_served_document_is_the_committed_one():
    assert httpx.get(f"{URL}/openapi.json").json() == json.loads(DOCUMENT.read_text())


def test_a_store_can_be_made_filled_searched_listed_and_deleted(load, client):
    models, stores = load("models"), "api.vector_stores"
    new = models.VectorStoreCreate(name="typed")
    store = load(f"{stores}.create_vector_store").sync(client=client, body=new)
    assert (type(store), store.name) == (models.VectorStore, "typed")

    text = models.EmbeddingCreate(content=TEXT)
    put = load("api.litellm.create_vector_store_embedding").sync(store.id, client=client, body=text)
    assert put.content == TEXT

    asked = models.SearchRequest(query="rockets", max_num_results=3)
    page = load(f"{stores}.search_vector_store").sync(store.id, client=client, body=asked)
    assert [result.content[0].text for result in page.data] == [TEXT]

    listed = load(f"{stores}.list_vector_stores").sync(client=client, limit=1)
    assert [store.id for store in listed.data] == [store.id]

    gone = load(f"{stores}.delete_vector_store").sync(store.id, client=client)
    assert gone.to_dict() == {"id": store.id, "object": "vector_store.deleted", "deleted": True}


def test_errors_have_the_type_of_the_document(load, client, connect):
    models, retrieve = load("models"), load("api.vector_stores.retrieve_vector_store")
    missing = retrieve.sync_detailed("vs_doesnotexist", client=client)
    assert (missing.status_code, type(missing.parsed)) == (404, models.ErrorResponse)
    assert missing.parsed.error.type_ == "invalid_request_error"
    refused = retrieve.sync_detailed("vs_doesnotexist", client=connect("vs_live_wrong"))
    assert (refused.status_code, refused.parsed.error.code) == (401, "invalid_api_key")
