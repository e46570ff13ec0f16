"""A small OpenAI-compatible provider of embeddings that fails as it is told to, and a proxy of ours that uses it."""

import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 8


def vector(text):
    """Eight numbers that depend on the words only: texts that share words are alike."""
    sums = [0.0] * DIMENSIONS
    for word in text.lower().replace(".", " ").split():
        digest = hashlib.sha256(word.encode()).digest()
        sums = [total + byte / 128 - 1 for total, byte in zip(sums, digest)]
    return list(struct.unpack("<8f", struct.pack("<8f", *(x or 0.5 for x in sums))))


class Provider:
    """Answers `POST /v1/embeddings`. `script[model]` lists what happens to the next requests for a model."""

    def __init__(self):
        self.script, self.requests = {}, []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.requests.append((body["model"], body, dict(self.headers)))
                steps = provider.script.get(body["model"], [])
                step = steps.pop(0) if steps else "ok"
                if step == "close":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif isinstance(step, float):
                    time.sleep(step)
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        self.answer(200, provider.embed(body))
                elif isinstance(step, tuple):
                    self.answer(step[0], {"error": {"message": "as told"}}, step[1])
                elif isinstance(step, int):
                    self.answer(step, {"error": {"message": "as told"}})
                elif isinstance(step, dict):
                    self.answer(200, step)
                else:
                    self.answer(200, provider.embed(body, floats=step == "floats"))

            def answer(self, status, body, headers=None):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in ({"content-length": len(data)} | (headers or {})).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def embed(self, body, floats=False):
        def encode(numbers):
            return numbers if floats else base64.b64encode(struct.pack("<8f", *numbers)).decode()

        data = [{"object": "embedding", "index": n, "embedding": encode(vector(t))} for n, t in enumerate(body["input"])]
        # The order of answers is no promise.
        return {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    def sent(self, model):
        """The bodies of the requests for a model."""
        return [body for name, body, _ in self.requests if name == model]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def proxy(program, database_url, providers, log, **environment):
    """A proxy of ours with this file of providers; yields its base URL."""
    port = free_port()
    environment = os.environ | environment | {
        "VECTORSTORE_DATABASE_URL": database_url,
        "VECTORSTORE_LISTEN": f"127.0.0.1:{port}",
        "VECTORSTORE_PROVIDERS": str(providers),
    }
    with open(log, "ab") as output, subprocess.Popen([program, "serve"], env=environment, stderr=output) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).close()
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)
