"""Proxies of a test's own, on a database of its own, that can be killed and started again."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
import uuid
from urllib.parse import urlsplit, urlunsplit

import openai
import psycopg

from http_client import Http

ROLE = PASSWORD = "vs_python_app"


def with_database(url, name, user=None):
    """The same server, another database, and perhaps another user."""
    parts = urlsplit(url)
    login = parts.netloc if user is None else f"{user}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=login, path=f"/{name}"))


class Database:
    """A fresh database with the extension, an API key and the role that proxies log in with."""

    def __init__(self, superuser_url, program):
        self.name = f"vs_python_{uuid.uuid4().hex[:8]}"
        self.server, self.program = superuser_url, program
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {self.name}")
        self.connection = self.connect(autocommit=True)
        # Makes the roles, unless an earlier database has.
        self.connection.execute("CREATE EXTENSION vectorstore CASCADE")
        if self.one("SELECT count(*) FROM pg_roles WHERE rolname = %s", ROLE) == 0:
            self.connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}' IN ROLE vectorstore_app")
        printed = subprocess.run([program, "key", "new"], capture_output=True, text=True, check=True).stdout
        self.api_key = dict(line.split("=") for line in printed.split())["key"]
        digest = hashlib.sha256(self.api_key.encode()).digest()
        self.connection.execute("SELECT vs_create_api_key('test', %s, role => 'operator')", [digest])

    def connect(self, **arguments):
        return psycopg.connect(with_database(self.server, self.name), **arguments)

    def all(self, query, *values):
        return self.connection.execute(query, values).fetchall()

    def one(self, query, *values):
        [[value]] = self.all(query, *values)
        return value

    def drop(self):
        self.connection.close()
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(f"DROP DATABASE {self.name} WITH (FORCE)")


class Proxy:
    """A process; settings are those of its command line, with underscores. What it says goes to the file
    `output`, if that is given."""

    def __init__(self, database, output=None, **settings):
        self.database, self.process, self.output = database, None, output
        self.settings = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.http = Http(self.base_url, database.api_key)

    def start(self):
        login = with_database(self.database.server, self.database.name, f"{ROLE}:{PASSWORD}")
        environment = os.environ | {"VECTORSTORE_DATABASE_URL": login, "VECTORSTORE_LOG_FORMAT": "pretty"}
        command = [self.database.program, "serve", f"--listen=127.0.0.1:{self.port}", *self.settings]
        if not any(setting.startswith("--log=") for setting in self.settings):
            command.append("--log=warn")
        with contextlib.ExitStack() as stack:
            output = self.output and stack.enter_context(self.output.open("ab"))
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, "the proxy stopped"
            try:
                if self.http.get("/ready", root=True).status == 200:
                    return self
            except OSError:
                pass
            assert time.monotonic() < deadline, "the proxy did not get ready"
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Exit code after SIGTERM."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def client(self):
        return openai.OpenAI(
            base_url=self.base_url,
            api_key=self.database.api_key,
            max_retries=0,
            timeout=60,
            _strict_response_validation=True,
        )
