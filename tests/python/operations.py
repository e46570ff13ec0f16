"""Every operation of the HTTP API: what a key must be allowed to do for it, and requests that name objects wherever one
can be named. `{store}` and its like stand for ids, `{word}` for a text that only one tenant has."""

import json
from dataclasses import dataclass, field

from tenancy import multipart

# What a key with the role may do; `search` is what a key with a mandatory filter may do as well, `create` is more than
# `write` for a key that is narrowed to stores.
RANK = {"open": -1, "search": 0, "read": 0, "write": 1, "create": 1, "admin": 2, "operator": 3}
# Name of the placeholder for each parameter of a path.
PARAMETERS = {
    "vector_store_id": "store",
    "file_id": "file",
    "batch_id": "batch",
    "upload_id": "upload",
    "embedding_id": "embedding",
    "key_id": "key",
    "tenant_id": "tenant",
}


@dataclass
class Variant:
    """One way to call an operation."""

    query: str = ""
    body: object = None
    # Name and content of the file in a form.
    form: tuple = ()
    # When it takes more than the operation does in general.
    access: str = None


@dataclass
class Row:
    access: str
    variants: list = field(default_factory=lambda: [Variant()])


def queries(*texts):
    return [Variant(text) for text in ("", *texts)]


def bodies(*values):
    return [Variant(body=value) for value in values]


PAGES = queries("?after={store}", "?before={store}")
FILE_PAGES = queries("?after={file}", "?before={file}")
OWNER = {"type": "eq", "key": "owner", "value": "{word}"}
OF_FILE = {"type": "eq", "key": "file_id", "value": "{file}"}
ANY_TENANT = queries("?tenant={tenant}")
LIMITS = {"max_chunks": 1000000}
# Nobody meets them.
RATES = {"requests_per_second": 1000000}

ROWS = {
    "GET /health": Row("open"),
    "GET /healthz": Row("open"),
    "GET /metrics": Row("open"),
    "GET /ready": Row("open"),
    "GET /v1/vector_stores": Row("search", PAGES),
    "POST /v1/vector_stores": Row("create", bodies({"name": "new"}, {"file_ids": ["{file}"]})),
    "GET /v1/vector_stores/{store}": Row("search"),
    "POST /v1/vector_stores/{store}": Row("write", bodies({"name": "renamed"})),
    "DELETE /v1/vector_stores/{store}": Row("write", queries("?mode=cascade")),
    # A store that is there needs no restoring; that is no mistake.
    "POST /v1/vector_stores/{store}/restore": Row("write"),
    "POST /v1/vector_stores/{store}/search": Row(
        "search",
        bodies(
            {"query": "{word}", "search_mode": "keyword_only"},
            {"query": "text", "filters": OWNER},
            {"search_mode": "list", "filters": OF_FILE, "facets": ["owner"]},
        ),
    ),
    "GET /v1/vector_stores/{store}/files": Row("search", FILE_PAGES),
    "POST /v1/vector_stores/{store}/files": Row("write", bodies({"file_id": "{file}"})),
    "GET /v1/vector_stores/{store}/files/{file}": Row("search"),
    "POST /v1/vector_stores/{store}/files/{file}": Row("write", bodies({"attributes": {"a": 1}})),
    "DELETE /v1/vector_stores/{store}/files/{file}": Row("write"),
    "GET /v1/vector_stores/{store}/files/{file}/content": Row("search"),
    "POST /v1/vector_stores/{store}/file_batches": Row(
        "write", bodies({"file_ids": ["{file}"]}, {"files": [{"file_id": "{file}", "attributes": {}}]})
    ),
    "GET /v1/vector_stores/{store}/file_batches/{batch}": Row("read"),
    "POST /v1/vector_stores/{store}/file_batches/{batch}/cancel": Row("write"),
    "GET /v1/vector_stores/{store}/file_batches/{batch}/files": Row("read", FILE_PAGES),
    "GET /v1/vector_stores/{store}/embeddings": Row(
        "search", queries("?after={embedding}", "?before={embedding}", "?include=embedding")
    ),
    "POST /v1/vector_stores/{store}/embeddings": Row("write", bodies({"content": "A text."})),
    "POST /v1/vector_stores/{store}/embeddings/batch": Row("write", bodies({"embeddings": [{"content": "A text."}]})),
    "DELETE /v1/vector_stores/{store}/embeddings/batch": Row(
        "write", bodies({"ids": ["{embedding}"]}, {"filter": OWNER})
    ),
    "GET /v1/vector_stores/{store}/embeddings/{embedding}": Row("search"),
    "PUT /v1/vector_stores/{store}/embeddings/{embedding}": Row("write", bodies({"content": "Another text."})),
    "PATCH /v1/vector_stores/{store}/embeddings/{embedding}": Row("write", bodies({"metadata": {"a": 1}})),
    "DELETE /v1/vector_stores/{store}/embeddings/{embedding}": Row("write"),
    "GET /v1/vector_stores/{store}/stats": Row("read", queries("?range=all")),
    "GET /v1/stats": Row("admin", queries("?range=all")),
    "GET /v1/files": Row("read", queries("?after={file}")),
    "POST /v1/files": Row("write", [Variant(form=("file", "A text."))]),
    "GET /v1/files/{file}": Row("read"),
    "DELETE /v1/files/{file}": Row("write"),
    "GET /v1/files/{file}/content": Row("read"),
    "POST /v1/uploads": Row(
        "write", bodies({"filename": "f.txt", "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"})
    ),
    "POST /v1/uploads/{upload}/parts": Row("write", [Variant(form=("data", "text"))]),
    "POST /v1/uploads/{upload}/complete": Row("write", bodies({"part_ids": ["{part}"]})),
    "POST /v1/uploads/{upload}/cancel": Row("write"),
    "POST /v1/embeddings": Row("search", bodies({"model": "local", "input": "text"})),
    "GET /v1/models": Row("search"),
    "GET /v1/models/local": Row("search"),
    "GET /v1/api_keys": Row("admin", queries("?after={key}", "?before={key}", "?tenant={tenant}")),
    "POST /v1/api_keys": Row(
        "admin",
        [
            *bodies({"role": "read"}, {"role": "read", "vector_store_ids": ["{store}"]}),
            Variant("?tenant={tenant}", {"role": "read"}),
        ],
    ),
    "GET /v1/api_keys/{key}": Row("admin", ANY_TENANT),
    "PUT /v1/api_keys/{key}": Row(
        "admin",
        [
            *bodies({"name": "renamed"}, {"vector_store_ids": ["{store}"]}),
            Variant("?tenant={tenant}", {"name": "renamed"}),
        ],
    ),
    "DELETE /v1/api_keys/{key}": Row("admin", ANY_TENANT),
    "POST /v1/api_keys/{key}/rotate": Row("admin", ANY_TENANT),
    "GET /v1/admin/tenants": Row("operator", queries("?after={tenant}", "?before={tenant}")),
    "POST /v1/admin/tenants": Row("operator", bodies({"id": "new-{tenant}"})),
    "GET /v1/admin/tenants/{tenant}": Row("operator"),
    "PUT /v1/admin/tenants/{tenant}": Row("operator", bodies({"name": "renamed"})),
    "DELETE /v1/admin/tenants/{tenant}": Row("operator", [Variant("?mode=cascade")]),
    "GET /v1/admin/quotas": Row("admin", ANY_TENANT),
    # Nobody raises the quota of the own tenant.
    "PUT /v1/admin/quotas": Row(
        "admin",
        [
            Variant(body=LIMITS | {"vector_store_id": "{store}"}),
            Variant(body=LIMITS, access="operator"),
            Variant("?tenant={tenant}", LIMITS, access="operator"),
        ],
    ),
    "GET /v1/admin/rate_limits": Row("admin"),
    "PUT /v1/admin/rate_limits": Row(
        "admin",
        [
            *bodies(RATES, RATES | {"api_key_id": "{key}"}),
            Variant(body={"scope": "default", "inherit": True}, access="operator"),
        ],
    ),
}


def operations(document):
    """The operations of an OpenAPI document, named as the rows are."""
    found = set()
    for path, methods in document["paths"].items():
        for parameter, name in PARAMETERS.items():
            path = path.replace(f"{{{parameter}}}", f"{{{name}}}")
        found |= {f"{method.upper()} {path.replace('{model}', 'local')}" for method in methods}
    return found


def calls():
    """Each variant of each operation: (name, access, variant)."""
    return [(name, variant.access or row.access, variant) for name, row in ROWS.items() for variant in row.variants]


def placeholders(name, variant):
    """Which ids a request names."""
    text = name + variant.query + json.dumps(variant.body)
    return [key for key in (*PARAMETERS.values(), "part", "word") if f"{{{key}}}" in text]


def call(http, name, variant, ids, **options):
    method, path = name.split(" ")
    path, body = path + variant.query, None if variant.body is None else json.dumps(variant.body)
    for key, value in ids.items():
        path = path.replace(f"{{{key}}}", value)
        body = body and body.replace(f"{{{key}}}", value)
    headers = {}
    if variant.form:
        body, headers = multipart(*variant.form, purpose="assistants")
    elif body:
        body, headers = body.encode(), {"content-type": "application/json"}
    return http.send(method, path, body, headers=headers | options.pop("headers", {}), root=True, **options)
