"""What the tests of serving share: requests that hang up, statements that take long, and a look at the server."""

import json
import socket
import time


def wait_until(condition, seconds, what):
    """How long it took until the condition held."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - begin


def open_request(proxy, method, path, body=None, headers=None):
    """Sends a request and returns its socket; closing that is hanging up."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {
        "host": "localhost",
        "authorization": f"Bearer {proxy.database.api_key}",
        "content-type": "application/json",
        "content-length": str(len(content)),
    } | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=60)
    connection.sendall(f"{method} /v1{path} HTTP/1.1\r\n{head}\r\n".encode() + content)
    return connection


def slow_down(database, name, seconds):
    """Makes a function of the schema vectorstore take longer; returns how to undo that."""
    [[types, result]] = database.all(
        """SELECT (SELECT string_agg(t::regtype::text, ', ' ORDER BY n) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n)),
                  prorettype::regtype::text
           FROM pg_proc WHERE pronamespace = 'vectorstore'::regnamespace AND proname = %s""",
        name,
    )
    numbers = ", ".join(f"${n + 1}" for n in range(len(types.split(", "))))
    function = f"vectorstore.{name}({types})"
    for statement in [
        f"ALTER FUNCTION {function} RENAME TO _fast_{name}",
        f"""CREATE FUNCTION {function} RETURNS {result} LANGUAGE sql SECURITY DEFINER
            AS 'SELECT pg_sleep({seconds}); SELECT vectorstore._fast_{name}({numbers})'""",
        f"ALTER FUNCTION {function} OWNER TO vectorstore_owner",
        f"GRANT EXECUTE ON FUNCTION {function} TO vectorstore_app",
    ]:
        database.connection.execute(statement)

    def undo():
        database.connection.execute(f"DROP FUNCTION {function}")
        database.connection.execute(f"ALTER FUNCTION vectorstore._fast_{name}({types}) RENAME TO {name}")

    return undo


def sessions(database, role, state=None):
    """The server processes of a role."""
    return {
        pid
        for (pid,) in database.all(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = current_database() AND coalesce(state = %s, true)",
            role,
            state,
        )
    }
