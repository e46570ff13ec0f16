"""What only the setting --litellm-compat changes: answers as those of litellm-pgvector, for clients that parse no others."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from http_client import Http


@pytest.fixture(scope="module")
def compat(tmp_path_factory, proxy_program, database_url, api_key, setting):
    """A second proxy on the same database, in litellm-pgvector's manner."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = os.environ | {
        "VECTORSTORE_DATABASE_URL": database_url,
        "VECTORSTORE_LISTEN": address,
        "VECTORSTORE_LITELLM_COMPAT": "true",
        "VECTORSTORE_MODEL_PATH": setting("VECTORSTORE_MODEL_PATH"),
    }
    log = tmp_path_factory.mktemp("compat") / "proxy.log"
    with log.open("w") as output:
        process = subprocess.Popen([proxy_program, "serve"], env=environment, stdout=output, stderr=output)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://{address}/ready", timeout=5)
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
            yield Http(f"http://{address}/v1", api_key)
        finally:
            process.terminate()
            process.wait(30)


def test_the_query_comes_back_as_a_string_and_20_results_are_the_default(http, compat, store):
    rows = [{"content": f"text {n}", "metadata": {"n": n}} for n in range(30)]
    http.ok("POST", f"/vector_stores/{store.id}/embeddings/batch", {"embeddings": rows})
    path = f"/vector_stores/{store.id}/search"
    for root in (False, True):
        page = compat.ok("POST", path, {"query": "text"}, root=root)
        assert page["search_query"] == "text" and len(page["data"]) == 20
    assert len(compat.ok("POST", path, {"query": "text", "limit": 3})["data"]) == 3
    bare = compat.ok("POST", path, {"query": "text", "return_metadata": False})
    assert bare["search_query"] == "text" and all(item["attributes"] == {} for item in bare["data"])
    assert compat.ok("POST", path, {"query": ["text", "more"]})["search_query"] == ["text", "more"]
    plain = http.ok("POST", path, {"query": "text"})
    assert plain["search_query"] == ["text"] and len(plain["data"]) == 10


def test_a_text_without_a_file_stands_for_itself(http, compat, store):
    inserted = http.ok("POST", f"/vector_stores/{store.id}/embeddings", {"content": "alone"})
    [item] = compat.ok("POST", f"/vector_stores/{store.id}/search", {"query": "alone"})["data"]
    assert (item["file_id"], item["filename"]) == (inserted["id"], "document.txt")
