"""Embeddings and errors through the official SDK."""

import asyncio
import base64
import struct

import numpy as np
import openai
import pytest

from http_client import UNKNOWN, UNKNOWN_KEY

TEXTS = ["A first text.", "Something else entirely, with more words in it.", "Der dritte Text über Äpfel 🦀", "a"]
UNKNOWN_STORE = f"vs_{UNKNOWN}"


def embed(client, input, **arguments):
    """Vectors, asked for as float, which strict validation knows."""
    return floats(client.embeddings.create(model="local", input=input, encoding_format="float", **arguments))


def floats(response):
    return [item.embedding for item in response.data]


def test_float_and_base64_are_the_same_bit_for_bit(client, plain_client, http):
    as_float = client.embeddings.create(model="local", input=TEXTS, encoding_format="float")
    as_base64 = http.ok("POST", "/embeddings", {"model": "local", "input": TEXTS, "encoding_format": "base64"})
    for item, encoded in zip(as_float.data, as_base64["data"], strict=True):
        raw = base64.b64decode(encoded["embedding"], validate=True)
        assert len(raw) == 4 * 256
        assert struct.pack("<256f", *item.embedding) == raw
    # Without a wish, the SDK asks for base64 and decodes it.
    np.testing.assert_array_equal(
        np.array(floats(plain_client.embeddings.create(model="local", input=TEXTS)), dtype=np.float32),
        np.array(floats(as_float), dtype=np.float32),
    )
    plain = http.ok("POST", "/embeddings", {"model": "local", "input": "x"})
    assert isinstance(plain["data"][0]["embedding"], list), "float is the default of the API"


def test_a_batch_keeps_the_order_of_its_inputs(client):
    inputs = [f"text number {n} about {'cats' if n % 2 else 'stars'}" for n in range(300)]
    batch = client.embeddings.create(model="local", input=inputs, encoding_format="float")
    assert batch.object == "list" and [item.index for item in batch.data] == list(range(300))
    for n in (0, 1, 150, 299):
        assert embed(client, inputs[n]) == [batch.data[n].embedding]
    assert batch.usage.prompt_tokens == batch.usage.total_tokens >= 300
    np.testing.assert_allclose(np.linalg.norm(floats(batch), axis=1), 1, atol=1e-5)


def test_the_database_embeds_alike(client, database):
    for text in TEXTS:
        row = database.execute("SELECT vs_embed(%s)::real[]", [text]).fetchone()
        np.testing.assert_allclose(embed(client, text)[0], row[0], atol=1e-6)


def test_token_ids_stand_for_their_text(client):
    # "hello world" in cl100k_base, as LangChain sends it.
    by_tokens = embed(client, [[15339, 1917], [15339]])
    assert by_tokens == embed(client, ["hello world", "hello"])
    assert embed(client, [15339, 1917]) == by_tokens[:1]


def test_the_model_has_a_name_and_a_size(client):
    answer = client.embeddings.create(
        model="local", input="x", dimensions=256, user="somebody", encoding_format="float"
    )
    models = {model.id for model in client.models.list()}
    assert {"local", answer.model} <= models
    again = client.embeddings.create(model=answer.model, input="x", encoding_format="float")
    assert floats(again) == floats(answer) == embed(client, "x")
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="local", input="x", dimensions=255)
    assert caught.value.param == "dimensions"


def test_the_asynchronous_client_gets_the_same_vectors(client, async_client):
    async def run():
        async with async_client() as other:
            create = other.embeddings.create
            calls = [create(model="local", input=text, encoding_format="float") for text in TEXTS]
            return [floats(answer)[0] for answer in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == embed(client, TEXTS)


ERRORS = {
    "unknown store": (lambda c: c.vector_stores.retrieve(UNKNOWN_STORE), openai.NotFoundError, 404, None),
    "id of another form": (lambda c: c.vector_stores.retrieve("abc123"), openai.BadRequestError, 400, "invalid_value"),
    "unknown file": (lambda c: c.files.retrieve(f"file-{UNKNOWN}"), openai.NotFoundError, 404, None),
    "missing parameter": (
        lambda c: c.post(f"/vector_stores/{UNKNOWN_STORE}/search", body={}, cast_to=object),
        openai.BadRequestError,
        400,
        "missing_required_parameter",
    ),
    "wrong type": (
        lambda c: c.vector_stores.search(UNKNOWN_STORE, query=7),
        openai.BadRequestError,
        400,
        "invalid_type",
    ),
    "too many": (
        lambda c: c.vector_stores.search(UNKNOWN_STORE, query="x", max_num_results=51),
        openai.BadRequestError,
        400,
        "integer_above_max_value",
    ),
    "too few": (lambda c: c.vector_stores.list(limit=0), openai.BadRequestError, 400, "integer_below_min_value"),
    "empty array": (lambda c: c.embeddings.create(model="local", input=[]), openai.BadRequestError, 400, "empty_array"),
    "unknown model": (
        lambda c: c.embeddings.create(model="text-embedding-3-small", input="x"),
        openai.BadRequestError,
        400,
        "model_not_found",
    ),
    "unknown embedding model of a store": (
        lambda c: c.vector_stores.create(extra_body={"embedding_model": "no-such-model"}),
        openai.BadRequestError,
        400,
        "invalid_value",
    ),
    "bad purpose": (
        lambda c: c.files.create(file=("a.txt", b"x"), purpose="fun"),
        openai.BadRequestError,
        400,
        "invalid_value",
    ),
    "wrong key": (
        lambda c: c.with_options(api_key=UNKNOWN_KEY).vector_stores.list(),
        openai.AuthenticationError,
        401,
        "invalid_api_key",
    ),
    "key of another provider": (
        lambda c: c.with_options(api_key="sk-proj-1234").vector_stores.list(),
        openai.AuthenticationError,
        401,
        "invalid_api_key",
    ),
    "unknown route": (lambda c: c.get("/assistants", cast_to=object), openai.NotFoundError, 404, None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_become_the_exceptions_of_their_status(client, name):
    call, kind, status, code = ERRORS[name]
    with pytest.raises(kind) as caught:
        call(client)
    error = caught.value
    assert type(error) is kind and error.status_code == status
    assert error.code == code and error.type == "invalid_request_error"
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.request_id.startswith("req_")
    assert UNKNOWN_KEY not in str(error.body) and "sk-proj" not in str(error.body)


def test_the_message_about_a_strange_id_is_that_of_openai(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.vector_stores.retrieve("abc")
    assert caught.value.body["message"] == "Invalid 'vector_store_id': 'abc'. Expected an ID that begins with 'vs'."
    assert caught.value.param == "vector_store_id"
