"""litellm-pgvector's server beside our proxy: the same rows by `embeddings/batch`, batch by batch in turns."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
import socket
import statistics
import subprocess
import time

import numpy as np
import psycopg

from . import server
from .client import Client
from .options import Run
from .report import Row

# As its schema has them; its dimensions are 1536 there, which only the tables know.
TABLES = """
    DROP SCHEMA IF EXISTS litellm CASCADE;
    CREATE SCHEMA litellm;
    CREATE TABLE litellm.vector_stores (
        id text PRIMARY KEY, name text NOT NULL, file_counts jsonb, status text NOT NULL DEFAULT 'completed',
        usage_bytes integer DEFAULT 0, created_at timestamp(3) NOT NULL DEFAULT current_timestamp, expires_after jsonb,
        expires_at timestamp(3), last_active_at timestamp(3), metadata jsonb);
    CREATE TABLE litellm.embeddings (
        id text PRIMARY KEY,
        vector_store_id text NOT NULL REFERENCES litellm.vector_stores ON DELETE CASCADE ON UPDATE CASCADE,
        content text NOT NULL, embedding vector({dimensions}) NOT NULL, metadata jsonb,
        created_at timestamp(3) NOT NULL DEFAULT current_timestamp);
    INSERT INTO litellm.vector_stores (id, name, metadata) VALUES ('store', 'bench', '{{}}')"""


class Peer:
    """Its server, on the benchmark's own database."""

    def __init__(self, checkout: pathlib.Path, python: str, log: pathlib.Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        key = secrets.token_hex(16)
        url = os.environ["DATABASE_URL"]
        environment = os.environ | {
            # Both schemas, so that it finds its tables and the type vector.
            "DATABASE_URL": f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dlitellm,public",
            "SERVER_API_KEY": key,
            "PYTHONPATH": str(pathlib.Path(__file__).parent / "standin"),
            # Its library would fetch a list of prices.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        with log.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [python, "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"],
                cwd=checkout,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self.client = Client(f"http://127.0.0.1:{port}/v1", key)
        deadline = time.monotonic() + 120
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"litellm-pgvector did not start: {log.read_text(encoding='utf-8')[-500:]}")
            try:
                if Client(f"http://127.0.0.1:{port}", key).send("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.2)

    def stop(self) -> None:
        """Ends the server."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def bodies(texts: list[str], batch: int, seed: int, dimensions: int) -> list[bytes]:
    """Requests of so many rows each, with vectors and a little metadata."""
    rng = np.random.default_rng(seed)
    made = []
    for begin in range(0, len(texts), batch):
        rows = []
        for number, text in enumerate(texts[begin : begin + batch], begin):
            vector = [round(float(x), 6) for x in rng.standard_normal(dimensions, np.float32)]
            rows.append({"content": text, "embedding": vector, "metadata": {"row": number, "filename": "bench.txt"}})
        made.append(json.dumps({"embeddings": rows}).encode())
    return made


def rows_of(connection: psycopg.Connection) -> int:
    """What litellm-pgvector has stored."""
    return server.value(connection, "SELECT count(*) FROM litellm.embeddings")


def measure(run: Run, texts: list[str]) -> None:
    """Rows a second of both; skipped, and said so, without LITELLM_PGVECTOR."""
    checkout, python = os.environ.get("LITELLM_PGVECTOR"), os.environ.get("LITELLM_PYTHON")
    name = "litellm-pgvector"
    if not checkout or not python:
        run.skipped[name] = "LITELLM_PGVECTOR names no folder with its source"
        run.say(f"{name} is left out: {run.skipped[name]}")
        return
    for dimensions in (384, 1536):
        server.script(run.connection, TABLES.format(dimensions=dimensions))
        peer = run.peer(name, lambda: Peer(pathlib.Path(checkout), python, run.folder / "litellm.log"))
        if peer is None:
            return
        try:
            compare(run, peer, texts, dimensions)
        finally:
            peer.stop()


def compare(run: Run, peer: Peer, texts: list[str], dimensions: int) -> None:
    """Both take turns, batch by batch."""
    ours = Client(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])
    create = {"name": "rows", "embedding_model": "none", "dimensions": dimensions}
    store = ours.ask("POST", "/vector_stores", create)["id"]
    rng = np.random.default_rng(run.options.seed)
    # A JSON body has at most 8 MiB, and a number takes up to ten bytes of it.
    batch = min(run.options.batch, 8 * 2**20 // (11 * dimensions))
    requests = bodies(texts, batch, run.options.seed, dimensions)
    statuses: dict[int, int] = {}

    def mine(body: bytes) -> None:
        status, answer = ours.send("POST", f"/vector_stores/{store}/embeddings/batch", body)
        if status != 200:
            raise RuntimeError(f"embeddings/batch: {status} {answer[:300]!r}")

    def theirs(body: bytes) -> None:
        # Some versions insert the rows and then answer 500; the rows are counted below.
        status, _ = peer.client.send("POST", "/vector_stores/store/embeddings/batch", body)
        statuses[status] = statuses.get(status, 0) + 1

    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    ways = [("ours", mine), ("peer", theirs)]
    for number, body in enumerate([requests[0], *requests]):
        for place in rng.permutation(2):
            side, send = ways[place]
            began = time.perf_counter()
            send(body)
            # The first one warms up.
            if number:
                seconds[side].append(time.perf_counter() - began)
    stored = rows_of(run.connection)
    expected = len(texts) + len(json.loads(requests[0])["embeddings"])
    if stored != expected:
        raise RuntimeError(f"litellm-pgvector has {stored} rows in place of {expected}")
    mine_stored = ours.ask("GET", f"/vector_stores/{store}")["file_counts"]
    ours.ask("DELETE", f"/vector_stores/{store}")
    rates = {side: len(texts) / sum(taken) for side, taken in seconds.items()}
    each = {side: statistics.median(taken) * 1000 for side, taken in seconds.items()}
    run.report.results[f"embeddings/batch, {dimensions} dimensions"] = {
        "rows": len(texts), "rows a request": batch, "rows per second": rates, "ms a request, p50": each,
        "statuses of litellm-pgvector": statuses, "file_counts": mine_stored,
    }  # fmt: skip
    run.report.add(
        Row(
            "",
            f"rows by embeddings/batch, {dimensions} dimensions, {batch} a request ÷ litellm-pgvector",
            rates["ours"],
            "rows/s",
            peer=rates["peer"],
            # Those of its schema are what the bound is for.
            must=5 if dimensions == 1536 else None,
            at_least=True,
            margin=run.margin,
        )
    )
