"""The same few operations on tenants by two ways: the functions that the proxy calls, as the proxy's role, and HTTP.

Each method returns what a model can tell: a value, or a `Refusal` with the HTTP status.
"""

import base64
import hashlib
import json
import secrets

import psycopg
from psycopg.types.json import Jsonb

from tenancy import multipart

STATUS = {"22023": 400, "28000": 401, "42501": 403, "P0002": 404}
MODELS = ["local"]
LEVEL = "level"


class Refusal(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


def decode(prefix, text):
    """The number inside an id, as the proxy reads it (extension/core/src/id.rs)."""
    try:
        data = base64.b32decode(text.removeprefix(prefix).upper())
    except ValueError:
        return 0
    number, low, ninth = (int.from_bytes(part) for part in (data[:8], data[8:16], data[16:17]))
    bits = 2**64 - 1
    z = low ^ ninth << 32
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & bits
    z = (z ^ z >> 27) * 0x94D049BB133111EB & bits
    number ^= z ^ z >> 31
    return number - 2**64 if number >= 2**63 else number


def new_key():
    """As `vectorstore-proxy key new` makes it."""
    id, secret = (base64.b32encode(secrets.token_bytes(length)).decode().lower().rstrip("=") for length in (10, 32))
    return f"vs_live_{id}_{secret}"


def digest(key):
    return hashlib.sha256(key.encode()).digest()


def ids(listed):
    return [item["id"] for item in listed["data"]]


class Sql:
    """As the proxy does it; the connection belongs to its role."""

    def __init__(self, connection):
        self.connection = connection

    def call(self, function, *values):
        places = ", ".join(["%s"] * len(values))
        values = [Jsonb(value) if isinstance(value, dict) else value for value in values]
        try:
            [value] = self.connection.execute(f"SELECT vectorstore.{function}({places})", values).fetchone()
        except psycopg.Error as error:
            if error.sqlstate not in STATUS:
                raise
            raise Refusal(STATUS[error.sqlstate]) from error
        return value

    def of_store(self, function, key, store, *values):
        return self.call(function, decode("vs_", store), store, digest(key), *values)

    def create_store(self, key, name):
        return self.call("api_create_vector_store", digest(key), name, None, None, None, None, None)["id"]

    def rename_store(self, key, store, name):
        return self.of_store("api_update_vector_store", key, store, {"name": name})["name"]

    def delete_store(self, key, store):
        return self.of_store("api_delete_vector_store", key, store)["id"]

    def get_store(self, key, store):
        return self.of_store("api_get_vector_store", key, store)["name"]

    def list_stores(self, key):
        return ids(self.call("api_list_vector_stores", digest(key), 100, "asc", None, None))

    def insert(self, key, store, content, level):
        sql = "api_insert_embeddings"
        values = [content], [None], [json.dumps({LEVEL: level})]
        number = decode("vs_", store)
        try:
            row = self.connection.execute(
                f"SELECT vectorstore.{sql}(%s, %s, %s, %s, %s::text[]::vector[], %s::jsonb[], true)",
                [number, store, digest(key), *values],
            ).fetchone()
        except psycopg.Error as error:
            if error.sqlstate not in STATUS:
                raise
            raise Refusal(STATUS[error.sqlstate]) from error
        return row[0]["id"]

    def change_text(self, key, store, text, content, level):
        body = self.of_store("api_update_embedding", key, store, text, content, None, {LEVEL: level}, True, None)
        return body["content"]

    def delete_text(self, key, store, text):
        return self.of_store("api_delete_embedding", key, store, text, None)["id"]

    def get_text(self, key, store, text):
        return self.of_store("api_get_embedding", key, store, text)["content"]

    def list_texts(self, key, store):
        listed = self.of_store("api_list_embeddings", key, store, 100, "asc", None, None, False)
        return {item["content"] for item in listed["data"]}

    def search(self, key, store, word):
        options = {"k": 50, "mode": "keyword_only"} if word else {"k": 50}
        answer = self.of_store(
            "api_search", key, store, [word] if word else [], [None] if word else [], options, None, [LEVEL]
        )
        return found(answer)

    def upload(self, key, content):
        return self.call("api_create_file", digest(key), "f.txt", "assistants", content.encode(), None)["id"]

    def get_file(self, key, file):
        return self.call("api_get_file", digest(key), file)["bytes"]

    def read_file(self, key, file):
        self.call("api_read_file", digest(key), file)
        return self.call("api_read_file_part", digest(key), file, 0).decode()

    def list_files(self, key):
        return ids(self.call("api_list_files", digest(key), None, 100, "asc", None))

    def delete_file(self, key, file):
        return self.call("api_delete_file", digest(key), file)["id"]

    def attach(self, key, store, file, level):
        answer = self.of_store("api_attach_file", key, store, file, {LEVEL: level}, None, MODELS, "model", 30)
        job = answer["job"]
        content = self.call("api_read_job_part", job["store_id"], file, job["lease"], 0).decode()
        vector = "[" + ",".join(["1"] * job["dimensions"]) + "]"
        [done] = self.connection.execute(
            "SELECT vectorstore.api_finish_job(%s, %s, %s, %s, %s, %s::text[]::vector[])",
            [job["store_id"], file, job["lease"], content, [content], [vector]],
        ).fetchone()
        assert done
        return answer["file"]["id"]

    def get_store_file(self, key, store, file):
        return self.of_store("api_get_store_file", key, store, file)["attributes"]

    def store_file_content(self, key, store, file):
        [part] = self.of_store("api_store_file_content", key, store, file)["data"]
        return part["text"]

    def list_store_files(self, key, store):
        return ids(self.of_store("api_list_store_files", key, store, 100, "asc", None, None, None))

    def detach(self, key, store, file):
        return self.of_store("api_delete_store_file", key, store, file)["id"]

    def make_key(self, key, settings):
        new = new_key()
        return self.call("api_create_api_key", digest(key), None, digest(new), settings)["id"], new

    def rotate_key(self, key, id):
        new = new_key()
        return self.call("api_rotate_api_key", digest(key), None, id, digest(new), 0)["id"], new

    def delete_key(self, key, id):
        return self.call("api_delete_api_key", digest(key), None, id)["id"]

    def list_keys(self, key):
        return ids(self.call("api_list_api_keys", digest(key), None, 100, "asc", None, None))


class Web:
    """As clients do it."""

    def __init__(self, http):
        self.http = http

    def ask(self, key, method, path, body=None, headers=None):
        headers = {"authorization": f"Bearer {key}"} | (headers or {})
        reply = self.http.send(method, path, body, headers=headers)
        if reply.status != 200:
            reply.error()
            raise Refusal(reply.status)
        return reply

    def json(self, *request, **options):
        return self.ask(*request, **options).json()

    def create_store(self, key, name):
        return self.json(key, "POST", "/vector_stores", {"name": name})["id"]

    def rename_store(self, key, store, name):
        return self.json(key, "POST", f"/vector_stores/{store}", {"name": name})["name"]

    def delete_store(self, key, store):
        return self.json(key, "DELETE", f"/vector_stores/{store}")["id"]

    def get_store(self, key, store):
        return self.json(key, "GET", f"/vector_stores/{store}")["name"]

    def list_stores(self, key):
        return ids(self.json(key, "GET", "/vector_stores?limit=100&order=asc"))

    def insert(self, key, store, content, level):
        body = {"content": content, "metadata": {LEVEL: level}}
        return self.json(key, "POST", f"/vector_stores/{store}/embeddings", body)["id"]

    def change_text(self, key, store, text, content, level):
        body = {"content": content, "metadata": {LEVEL: level}}
        return self.json(key, "PUT", f"/vector_stores/{store}/embeddings/{text}", body)["content"]

    def delete_text(self, key, store, text):
        return self.json(key, "DELETE", f"/vector_stores/{store}/embeddings/{text}")["id"]

    def get_text(self, key, store, text):
        return self.json(key, "GET", f"/vector_stores/{store}/embeddings/{text}")["content"]

    def list_texts(self, key, store):
        listed = self.json(key, "GET", f"/vector_stores/{store}/embeddings?limit=100")
        return {item["content"] for item in listed["data"]}

    def search(self, key, store, word):
        body = {"query": word, "search_mode": "keyword_only"} if word else {"search_mode": "list"}
        body |= {"max_num_results": 50, "facets": [LEVEL]}
        return found(self.json(key, "POST", f"/vector_stores/{store}/search", body))

    def upload(self, key, content):
        body, headers = multipart("file", content, purpose="assistants")
        return self.json(key, "POST", "/files", body, headers=headers)["id"]

    def get_file(self, key, file):
        return self.json(key, "GET", f"/files/{file}")["bytes"]

    def read_file(self, key, file):
        return self.ask(key, "GET", f"/files/{file}/content").body.decode()

    def list_files(self, key):
        return ids(self.json(key, "GET", "/files?limit=100&order=asc"))

    def delete_file(self, key, file):
        return self.json(key, "DELETE", f"/files/{file}")["id"]

    def attach(self, key, store, file, level):
        body = {"file_id": file, "attributes": {LEVEL: level}}
        attached = self.json(key, "POST", f"/vector_stores/{store}/files", body)
        assert attached["status"] == "completed", attached
        return attached["id"]

    def get_store_file(self, key, store, file):
        return self.json(key, "GET", f"/vector_stores/{store}/files/{file}")["attributes"]

    def store_file_content(self, key, store, file):
        [part] = self.json(key, "GET", f"/vector_stores/{store}/files/{file}/content")["data"]
        return part["text"]

    def list_store_files(self, key, store):
        return ids(self.json(key, "GET", f"/vector_stores/{store}/files?limit=100&order=asc"))

    def detach(self, key, store, file):
        return self.json(key, "DELETE", f"/vector_stores/{store}/files/{file}")["id"]

    def make_key(self, key, settings):
        made = self.json(key, "POST", "/api_keys", settings)
        return made["id"], made["key"]

    def rotate_key(self, key, id):
        made = self.json(key, "POST", f"/api_keys/{id}/rotate", {"overlap_seconds": 0})
        return made["id"], made["key"]

    def delete_key(self, key, id):
        return self.json(key, "DELETE", f"/api_keys/{id}")["id"]

    def list_keys(self, key):
        return ids(self.json(key, "GET", "/api_keys?limit=100&order=asc"))


def found(answer):
    """The texts of a search, and how many of each level were counted."""
    texts = {result["content"][0]["text"] for result in answer["data"]}
    counts = {value["value"]: value["count"] for value in answer["facets"][LEVEL]["values"]}
    return texts, counts
