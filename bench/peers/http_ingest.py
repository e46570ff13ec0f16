"""Files over HTTP, from the upload until they can be searched, and where the time goes."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import statistics
import time
from dataclasses import dataclass

import numpy as np

from .data import Data
from .client import Client
from .options import Run
from .report import Row

BOUNDARY = "0123456789abcdef"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
# Uploads at the same time; the SDK's own helper has five.
UPLOADS = 5
# Most files of a batch.
BATCH = 2000
STAGES = ("read", "extract", "chunk", "embed", "store")


@dataclass
class Load:
    """A kind of load: a number of files, and words of each."""

    name: str
    files: int
    words: int


@dataclass
class Round:
    """What a round took, in seconds."""

    upload: float
    attach: float
    chunks: int
    # Time on the clock of all files together, as the proxy's log tells it.
    stages: dict[str, float]

    @property
    def total(self) -> float:
        """From the first upload until the last file can be searched."""
        return self.upload + self.attach


def loads(run: Run) -> list[Load]:
    """Small notes, and a few files of the size of a book."""
    files = run.options.files or (200 if run.options.quick else 2000)
    return [Load("small files", files, 300), Load("big files", max(2, files // 500), 200_000)]


def files_of(load: Load, data: Data, seed: int) -> list[tuple[str, bytes]]:
    """Markdown with a heading every 100 words or so; no two files are the same, for equal texts would be embedded once."""
    rng = np.random.default_rng([seed, load.files, load.words])
    made = []
    for number in range(load.files):
        lines, words = [f"# Note {number} of {seed}"], 0
        while words < load.words:
            text = data.texts[int(rng.integers(len(data)))]
            lines += [f"## {' '.join(text.split()[:5])}", text]
            words += len(text.split())
        made.append((f"note-{number}.md", "\n\n".join(lines).encode()))
    return made


def form(name: str, content: bytes) -> bytes:
    """The body of an upload."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--{BOUNDARY}\r\n'
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/markdown\r\n\r\n'
    )
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(client: Client, body: bytes) -> str:
    """Id of the file."""
    status, answer = client.send("POST", "/files", body, MULTIPART)
    if status != 200:
        raise RuntimeError(f"upload: {status} {answer[:300]!r}")
    return json.loads(answer)["id"]


def finished(client: Client, store: str, batch: dict) -> None:
    """Waits as the SDK does, but looks more often."""
    while batch["file_counts"]["in_progress"]:
        time.sleep(0.05)
        batch = client.ask("GET", f"/vector_stores/{store}/file_batches/{batch['id']}")
    if batch["file_counts"]["completed"] != batch["file_counts"]["total"]:
        raise RuntimeError(f"files failed: {batch['file_counts']}")


class Log:
    """The proxy's log, from where it ended when this was made."""

    def __init__(self, path: str) -> None:
        self.path = pathlib.Path(path)
        self.at = self.path.stat().st_size

    def stages(self, files: int) -> tuple[int, dict[str, float]]:
        """Chunks of all files, and the seconds that each stage took of them together."""
        with self.path.open("rb") as log:
            log.seek(self.at)
            lines = [json.loads(line) for line in log if b'"a file was read"' in line]
        if len(lines) != files:
            raise RuntimeError(f"the log tells of {len(lines)} files in place of {files}")
        spent = {name: sum(line[f"{name}_ms"] for line in lines) / 1000 for name in ("wait", *STAGES)}
        return sum(line["chunks"] for line in lines), spent


def once(client: Client, load: Load, data: Data, seed: int) -> Round:
    """Uploads, attaches in batches, waits; then takes everything away."""
    bodies = [form(name, content) for name, content in files_of(load, data, seed)]
    store = client.ask("POST", "/vector_stores", {"name": f"{load.name} {seed}"})["id"]
    log = Log(os.environ["PROXY_LOG"])
    with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
        began = time.perf_counter()
        ids = list(pool.map(lambda body: upload(client, body), bodies))
        uploaded = time.perf_counter()
        for begin in range(0, len(ids), BATCH):
            asked = {"file_ids": ids[begin : begin + BATCH]}
            finished(client, store, client.ask("POST", f"/vector_stores/{store}/file_batches", asked))
        ended = time.perf_counter()
        chunks, stages = log.stages(len(ids))
        client.ask("DELETE", f"/vector_stores/{store}")
        list(pool.map(lambda file: client.ask("DELETE", f"/files/{file}"), ids))
    return Round(uploaded - began, ended - uploaded, chunks, stages)


def measure(run: Run, data: Data) -> None:
    """Files and chunks a second for each load; the share of each stage."""
    client = Client(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])
    told: dict[str, object] = {}
    for load in loads(run):
        once(client, Load(load.name, 2, min(load.words, 3000)), data, 0)
        rounds = []
        for number in range(run.options.rounds):
            run.say(f"{load.files:,} {load.name}, round {number + 1}")
            rounds.append(once(client, load, data, number + 1))
        told[load.name] = [vars(one) | {"files": load.files, "words": load.words} for one in rounds]
        report(run, load, rounds)
    run.report.results["files over HTTP"] = told


def report(run: Run, load: Load, rounds: list[Round]) -> None:
    """Lines of a load."""

    def median(figure) -> float:  # noqa: ANN001 - of a round
        return statistics.median(figure(one) for one in rounds)

    add = run.report.add
    what = f"{load.files:,} {load.name} of {load.words:,} words"
    add(Row("", f"{what}, upload until searchable", median(lambda one: load.files / one.total), "files/s", at_least=True))
    add(Row("", "the same", median(lambda one: one.chunks / one.total), "chunks/s", at_least=True))
    add(Row("", "uploading alone", median(lambda one: load.files / one.upload), "files/s", at_least=True))
    add(Row("", "attaching alone", median(lambda one: one.chunks / one.attach), "chunks/s", at_least=True))
    for name in STAGES:
        each = median(lambda one, name=name: one.stages[name] / load.files * 1000)
        share = median(lambda one, name=name: one.stages[name] / sum(one.stages[stage] for stage in STAGES))
        add(Row("", f"stage {name}, a file ({share:.0%} of the work)", each))
    add(Row("", "waiting in the queue, a file", median(lambda one: one.stages["wait"] / load.files * 1000)))
