"""What schemathesis cannot know: ids of things that exist, and which fields exclude each other.

Of four requests that follow the document, three are completed here so that they can be carried out; the fourth goes out
as it was made up, to see that what does not exist is refused properly. Requests that break the document on purpose are
left alone. At the end, how many requests of each operation were accepted is written to the file VS_FUZZ_ACCEPTED.
"""

import atexit
import collections
import json
import os
import re
import threading
import uuid

import requests
import schemathesis

BASE, KEY = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
PREFIXES = {"vector_store_id": "vs_", "file_id": "file-", "batch_id": "vsfb_", "upload_id": "upload_", "embedding_id": "emb_"}
# Ids of tenants are chosen by whoever makes them.
PREFIXES |= {"key_id": "key_", "tenant_id": ("fuzz-",)}
# Made-up requests may delete what others use: after so many uses there is a new one.
USES = 25
DIMENSIONS = 256

lock = threading.Lock()
# Of each operation: requests, how many were accepted, and of those that were completed here why others were not.
answers = collections.defaultdict(lambda: {"sent": 0, "accepted": 0, "refused": collections.Counter()})
turns = collections.Counter()
completed = set()
local = threading.local()


def ask(method, path, **arguments):
    """The JSON of an answer."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.headers["Authorization"] = f"Bearer {KEY}"
    answer = local.session.request(method, BASE + path, timeout=60, **arguments)
    answer.raise_for_status()
    return answer.json()


def new_file():
    return ask("POST", "/files", files={"file": ("note.md", b"# Bees\n\nBees dance.\n")}, data={"purpose": "assistants"})["id"]


def new_store():
    return ask("POST", "/vector_stores", json={"name": "fuzz"})["id"]


def new_upload(part=False):
    made = ask("POST", "/uploads", json={"filename": "a.txt", "purpose": "assistants", "mime_type": "text/plain", "bytes": 4})
    if not part:
        return made["id"], None
    return made["id"], ask("POST", f"/uploads/{made['id']}/parts", files={"data": ("a.txt", b"bees")})["id"]


def new_batch(store, file):
    return ask("POST", f"/vector_stores/{store}/file_batches", json={"file_ids": [file]})["id"]


def new_passage(store):
    return ask("POST", f"/vector_stores/{store}/embeddings", json={"content": "Bees dance."})["id"]


def new_key():
    return ask("POST", "/api_keys", json={"name": "fuzz"})["id"]


def tenant_name():
    return f"fuzz-{uuid.uuid4().hex}"


def new_tenant():
    return ask("POST", "/admin/tenants", json={"id": tenant_name()})["id"]


class Things:
    """A store with a file, a batch and a passage, and an upload: used a number of times by one thread."""

    def __init__(self):
        self.left = USES
        self.vector_store_id, self.file_id = new_store(), new_file()
        self.batch_id = new_batch(self.vector_store_id, self.file_id)
        self.embedding_id = new_passage(self.vector_store_id)
        self.upload_id, _ = new_upload()
        self.other_file = new_file()
        self.key_id, self.tenant_id = new_key(), new_tenant()


def things():
    found = getattr(local, "things", None)
    if found is None or found.left <= 0:
        found = local.things = Things()
    found.left -= 1
    return found


# ---- What operations need ----


def fill_path(case, have):
    """Ids that exist in place of made-up ones; false when a link has brought all of them already."""
    own = case.path_parameters or {}
    if own and all(str(value).startswith(PREFIXES.get(name, "local")) for name, value in own.items()):
        return False
    for name in own:
        own[name] = "local" if name == "model" else getattr(have, name)
    return True


def fresh_target(case, operation, have):
    """What is used up by one request is made for it."""
    own = case.path_parameters
    if operation == "delete_vector_store":
        own["vector_store_id"] = new_store()
    elif operation == "delete_file":
        own["file_id"] = new_file()
    elif operation == "delete_vector_store_file":
        own["file_id"] = have.other_file
        ask("POST", f"/vector_stores/{have.vector_store_id}/files", json={"file_id": have.other_file})
    elif operation == "delete_vector_store_embedding":
        own["embedding_id"] = new_passage(have.vector_store_id)
    elif operation == "cancel_vector_store_file_batch":
        own["batch_id"] = new_batch(have.vector_store_id, have.other_file)
    elif operation in ("delete_api_key", "rotate_api_key"):
        own["key_id"] = new_key()
    elif operation == "delete_tenant":
        own["tenant_id"] = new_tenant()
    elif operation in ("cancel_upload", "add_upload_part"):
        own["upload_id"], _ = new_upload()
    elif operation == "complete_upload":
        own["upload_id"], part = new_upload(part=True)
        case.body = case.body | {"part_ids": [part], "md5": None}


FILE_FIELDS = ("file", "purpose", "expires_after[anchor]", "expires_after[seconds]")
CURSORS = {
    "list_vector_stores": "vector_store_id",
    "list_files": "file_id",
    "list_vector_store_files": "file_id",
    "list_vector_store_file_batch_files": "file_id",
    "list_vector_store_embeddings": "embedding_id",
    "list_api_keys": "key_id",
    "list_tenants": "tenant_id",
}


def fill_query(case, operation, have, linked):
    """Cursors are ids of what the list has, as far as that is known."""
    for name in ("after", "before"):
        if name in (case.query or {}):
            if linked:
                del case.query[name]
            else:
                case.query[name] = getattr(have, CURSORS[operation])
    # What is asked for belongs to the caller's own tenant.
    (case.query or {}).pop("tenant", None)
    for name in [name for name in case.headers or {} if name.lower() == "if-match"]:
        case.headers[name] = "*"


def short(pairs):
    """At most 16 pairs with keys of 1 to 64 characters and values of 512, as the descriptions say."""
    if not isinstance(pairs, dict):
        return pairs
    kept = {key[:64]: value[:512] if isinstance(value, str) else value for key, value in pairs.items() if key}
    return dict(list(kept.items())[:16])


def clean(value):
    """Without U+0000, which PostgreSQL's texts cannot hold."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def known_tokens(texts):
    """Token arrays of any numbers become some that exist, and texts are not empty."""
    if isinstance(texts, str):
        return texts or "x"
    if not isinstance(texts, list):
        return 100 + int(texts) % 50_000
    # An empty array stands where an array of tokens may stand, too.
    return [known_tokens(item) for item in texts] or [100]


def whole_strategy(strategy):
    """Numbers where there have to be some, and an overlap of half a chunk at most."""
    if isinstance(strategy, dict):
        numbers = strategy.get("static") or {}
        size = numbers.get("max_chunk_size_tokens", 100)
        overlap = min(numbers.get("chunk_overlap_tokens", 0), size // 2)
        strategy["static"] = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return strategy


def whole_passage(row):
    row.pop("embedding", None)
    row["content"] = row["content"] or "x"
    return row


def fill_body(case, operation, have):
    """The rules that a schema cannot tell; what each one is for stands in the descriptions of the fields."""
    body = case.body
    if not isinstance(body, dict):
        return
    body = clean(body)
    for name in ("metadata", "attributes"):
        if name in body and "embedding" not in operation:
            body[name] = short(body[name])
    if "chunking_strategy" in body:
        body["chunking_strategy"] = whole_strategy(body["chunking_strategy"])
    match operation:
        case "create_embedding":
            body |= {"model": "local", "input": known_tokens(body["input"])}
            body.pop("dimensions", None)
        case "create_vector_store":
            given = body.get("embedding_model") == "none"
            body["embedding_model"] = "none" if given else "local"
            body["dimensions"] = min(body.get("dimensions") or 8, 2000) if given else None
            if body.get("file_ids"):
                body["file_ids"] = [] if given else [have.file_id, have.other_file][: len(body["file_ids"])]
        case "create_vector_store_file":
            body["file_id"] = have.other_file
        case "create_vector_store_file_batch":
            if body.get("files"):
                body.pop("file_ids", None)
                body["files"] = [
                    {
                        "file_id": file,
                        "attributes": short(one.get("attributes")),
                        "chunking_strategy": whole_strategy(one.get("chunking_strategy")),
                    }
                    for one, file in zip(body["files"], [have.other_file, have.file_id])
                ]
            else:
                body.pop("files", None)
                body["file_ids"] = [have.other_file]
        case "create_vector_store_embedding" | "replace_vector_store_embedding":
            whole_passage(body)
        case "update_vector_store_embedding":
            body.pop("embedding", None)
            if body.get("content") == "":
                body["content"] = "x"
        case "create_vector_store_embedding_batch":
            for row in body["embeddings"]:
                whole_passage(row)
        case "delete_vector_store_embedding_batch":
            body.pop("expected_count", None)
            if body.get("ids") is not None or not body.get("filter"):
                body.pop("filter", None)
                body["ids"] = [new_passage(case.path_parameters["vector_store_id"])]
        case "search_vector_store":
            search(body)
        case "create_api_key" | "update_api_key":
            # Only readers have a filter, and operators no stores.
            body = {"name": body.get("name"), "role": body.get("role"), "vector_store_ids": None, "filter": None}
        case "create_tenant":
            body["id"] = tenant_name()
        case "add_upload_part":
            body = {name: value for name, value in body.items() if name == "data"}
        case "create_file":
            # Other names may be of characters that no header can have.
            body = {name: value for name, value in body.items() if name in FILE_FIELDS}
            if ("expires_after[anchor]" in body) != ("expires_after[seconds]" in body):
                body.pop("expires_after[anchor]", None)
                body.pop("expires_after[seconds]", None)
    case.body = body


def search(body):
    """The fields of the plain search; those that need another kind of store or of query are for tests/python."""
    for name in ("embedding", "embeddings", "negative_embeddings", "page", "search_mode"):
        body.pop(name, None)
    for name in ("query", "negative_query", "facets"):
        if isinstance(body.get(name), list):
            body[name] = [text if text.strip() else "bees" for text in body[name]] or None
        elif isinstance(body.get(name), str) and not body[name].strip():
            del body[name]
    body["query"] = body.get("query") or "bees"
    # One of two weights has to be more than nothing.
    hybrid = (body.get("ranking_options") or {}).get("hybrid_search")
    if hybrid and not (hybrid["embedding_weight"] or hybrid["text_weight"]):
        hybrid["text_weight"] = 1.0
    if not body.get("vector_weight", 1) or not body.get("keyword_weight", 1):
        body.pop("vector_weight", None)
        body.pop("keyword_weight", None)


@schemathesis.hook
def filter_case(ctx, case):
    """Not those with an empty list in a form, of which nothing would be sent, so that nothing is wrong with it."""
    form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (form and any(value == [] for value in case.body.values()))


@schemathesis.hook
def before_call(ctx, case, **_):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = case.operation.definition.raw["operationId"]
    with lock:
        turns[operation] += 1
        if turns[operation] % 4 == 0:
            return
        completed.add(case.id)
    have = things()
    linked = not fill_path(case, have)
    fill_query(case, operation, have, linked)
    try:
        fill_body(case, operation, have)
        if not linked:
            fresh_target(case, operation, have)
    except requests.HTTPError:
        # Made-up requests delete what others use, here or by a link.
        local.things = None
        with lock:
            completed.discard(case.id)


def reason(response):
    try:
        error = json.loads(response.content)["error"]
    except (ValueError, KeyError, TypeError):
        return str(response.status_code)
    return f"{response.status_code} {error['code']} {error['param']}"


@schemathesis.hook
def after_call(ctx, case, response):
    with lock:
        counts = answers[case.operation.definition.raw["operationId"]]
        counts["sent"] += 1
        counts["accepted"] += response.status_code < 300
        if response.status_code == 200 and case.operation.definition.raw["operationId"] == "create_tenant":
            PREFIXES["tenant_id"] += (json.loads(response.content)["id"],)
        if response.status_code >= 400 and case.id in completed:
            counts["refused"][reason(response)] += 1


# What follows the document and names what exists may be refused all the same, besides what is gone (404) or in use (409):
REFUSALS = [
    # Which lengths of rows a range has.
    r"retrieve_(vector_store_)?stats: 400 invalid_value bucket",
    # A link names an upload that another request has cancelled or completed, or parts that are not its own.
    r"(add_upload_part|cancel_upload|complete_upload): 400 invalid_value (upload_id|part_ids.*|md5)",
    # The object that a cursor names was deleted by another request.
    r"list_.*: 400 invalid_value (after|before)",
    # Which values an operator takes; a filter that is neither a comparison nor a compound is a map of attributes.
    r"search_vector_store: 400 (invalid_type|unknown_parameter|missing_required_parameter) filters\..*",
    r"delete_vector_store_embedding_batch: 400 (invalid_type|unknown_parameter|missing_required_parameter) filter\..*",
]


@schemathesis.check
def completed_data_acceptance(ctx, response, case):
    """What schemathesis checks by positive_data_acceptance, for the requests that were completed here."""
    if case.id in completed and response.status_code >= 400 and response.status_code not in (404, 409):
        refusal = f"{case.operation.definition.raw['operationId']}: {reason(response)}"
        assert any(re.fullmatch(pattern, refusal) for pattern in REFUSALS), (
            f"a request that follows the document was refused: {refusal}"
        )


@atexit.register
def write():
    path = os.environ.get("VS_FUZZ_ACCEPTED")
    if path and answers:
        with open(path, "w", encoding="utf-8") as output:
            json.dump(answers, output)
