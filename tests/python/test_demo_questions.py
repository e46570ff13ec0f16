"""Questions that a new user would ask about the product are answered by its own documentation, over HTTP."""

import json
import uuid
from pathlib import Path

import pytest

QUESTIONS = json.loads(Path(__file__).with_name("questions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documentation(client, load_documentation, drop_store):
    name = f"documentation-{uuid.uuid4().hex[:12]}"
    load_documentation(name)
    [store] = [store.id for store in client.vector_stores.list() if store.name == name]
    yield store
    drop_store(store)


def test_the_whole_documentation_is_loaded(client, documentation, repository):
    store = client.vector_stores.retrieve(documentation)
    files = list(client.vector_stores.files.list(documentation, limit=100))
    assert {file.status for file in files} == {"completed"}
    pages = [path for path in repository.glob("docs/**/*.md") if not path.name.startswith("bench-")]
    expected = {"README.md"} | {str(path.relative_to(repository)) for path in pages}
    assert {file.attributes["path"] for file in files} == expected
    assert store.file_counts.completed == store.file_counts.total == len(expected)


def test_enough_questions_are_asked():
    assert len(QUESTIONS) >= 5


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["question"])
def test_the_answer_is_among_the_first_three_results(client, documentation, question, repository):
    text = (repository / "docs" / question["file"]).read_text(encoding="utf-8")
    assert question["heading"] in text, "the question expects a section that is not there"
    page = client.vector_stores.search(documentation, query=question["question"], max_num_results=3)
    found = [(hit.filename, round(hit.score, 3), hit.content[0].text[:60]) for hit in page.data]
    assert question["file"] in [name for name, _, _ in found], found


def test_loading_again_uploads_nothing_new(client, documentation, load_documentation):
    before = client.vector_stores.retrieve(documentation)
    load_documentation(before.name)
    after = client.vector_stores.retrieve(documentation)
    assert (after.file_counts, after.usage_bytes) == (before.file_counts, before.usage_bytes)
