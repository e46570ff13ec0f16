"""Tenants with one object of each kind, and keys of all sorts, made over HTTP by an operator."""

import time
import uuid
from dataclasses import dataclass, field

from http_client import Http

# No id has these, whatever their prefix.
UNKNOWN_IDS = {
    "store": "vs_" + "a" * 32,
    "file": "file-" + "a" * 32,
    "batch": "vsfb_" + "a" * 32,
    "upload": "upload_" + "a" * 32,
    "part": "part_" + "a" * 32,
    "embedding": "emb_" + "a" * 24,
    "key": "key_" + "a" * 24,
    "tenant": "t-" + "a" * 14,
}


def multipart(name, content, **fields):
    """Body and headers of a form with one file."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="f.txt"\r\n\r\n{content}\r\n'
    )
    parts.append(f"--{boundary}--\r\n")
    return "".join(parts).encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


def upload_file(http, content, **options):
    body, headers = multipart("file", content, purpose="assistants")
    return http.ok("POST", "/files", body, headers=headers, **options)["id"]


@dataclass
class Tenant:
    """A tenant, clients with keys of each role, and what it owns."""

    id: str
    admin: Http
    keys: dict = field(default_factory=dict)
    ids: dict = field(default_factory=dict)

    @property
    def word(self):
        """In each text of the tenant, and in none of another one."""
        return "word" + self.id.replace("-", "")

    def make_key(self, role="admin", **settings):
        return self.admin.ok("POST", "/api_keys", {"name": role, "role": role} | settings)

    def client(self, role="admin", **settings):
        return self.with_key(self.make_key(role, **settings)["key"])

    def with_key(self, key):
        client = Http("http://unused", key)
        client.address, client.prefix = self.admin.address, self.admin.prefix
        return client

    def fill(self):
        """A fresh object of each kind."""
        http, word = self.admin, self.word
        store = http.ok("POST", "/vector_stores", {"name": f"{word} store", "metadata": {"owner": word}})["id"]
        file = upload_file(http, f"The {word} of the file in the store.")
        batch = http.ok(
            "POST", f"/vector_stores/{store}/file_batches", {"file_ids": [file], "attributes": {"owner": word}}
        )["id"]
        wait_for_files(http, store)
        embedding = http.ok(
            "POST",
            f"/vector_stores/{store}/embeddings",
            {"content": f"A single {word} in a text.", "metadata": {"owner": word}},
        )["id"]
        upload = http.ok(
            "POST",
            "/uploads",
            {"filename": f"{word}.txt", "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"},
        )["id"]
        body, headers = multipart("data", "text")
        part = http.ok("POST", f"/uploads/{upload}/parts", body, headers=headers)["id"]
        key = self.make_key("read", name=f"{word} key")["id"]
        self.ids = {
            "store": store,
            "file": file,
            "batch": batch,
            "upload": upload,
            "part": part,
            "embedding": embedding,
            "key": key,
            "tenant": self.id,
        }
        return self.ids


def wait_for_files(http, store):
    deadline = time.monotonic() + 30
    while http.ok("GET", f"/vector_stores/{store}")["file_counts"]["in_progress"]:
        assert time.monotonic() < deadline, "the files of the store were not read"
        time.sleep(0.05)


def new_tenant(operator, name=None):
    """A tenant with an administrator's key."""
    name = name or f"t-{uuid.uuid4().hex[:10]}"
    operator.ok("POST", "/admin/tenants", {"id": name, "name": name})
    made = operator.ok("POST", f"/api_keys?tenant={name}", {"name": "admin", "role": "admin"})
    tenant = Tenant(name, operator)
    tenant.admin = tenant.with_key(made["key"])
    return tenant
