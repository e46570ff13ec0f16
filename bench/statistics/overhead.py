"""What counting costs a search: the same questions to two servers that differ in shared_preload_libraries alone, turn by
turn, and to one server with vectorstore.track on and off. Prints medians in microseconds and their ratio, as JSON."""

import json
import os
import random
import statistics
import sys
import time

import psycopg

ROWS, ROUNDS, LIMIT = 5000, int(os.environ.get("ROUNDS", "4000")), 1.03
WORDS = [f"word{number}" for number in range(2000)]


def connect(name):
    connection = psycopg.connect(os.environ[name], autocommit=True)
    connection.prepare_threshold = 1
    return connection


def fill(connection):
    """The same texts and vectors on both servers."""
    source = random.Random(7)
    connection.execute("CREATE EXTENSION vectorstore CASCADE")
    connection.execute("SELECT vs_create_store('s', embedding_model => 'none', dimensions => 64)")
    for _ in range(ROWS // 500):
        texts = [" ".join(source.choices(WORDS, k=40)) for _ in range(500)]
        vectors = [str([source.gauss(0, 1) for _ in range(64)]) for _ in range(500)]
        connection.execute("SELECT count(*) FROM unnest(vs_upsert('s', %s::text[], embeddings => %s::vector[])) u", [texts, vectors])
    connection.execute("SELECT vs_merge('s')")
    connection.execute("VACUUM ANALYZE")


def alternate(contestants, questions):
    """Medians by name; in each round all answer the same question, in an order of its own."""
    times, order = {name: [] for name in contestants}, random.Random(11)
    for round, values in enumerate(questions):
        names = list(contestants)
        order.shuffle(names)
        for name in names:
            begin = time.perf_counter_ns()
            contestants[name].execute("SELECT id, score FROM vs_search('s', %s, %s::vector, k => 10)", values).fetchall()
            if round >= 200:
                times[name].append((time.perf_counter_ns() - begin) / 1000)
    return {name: statistics.median(series) for name, series in times.items()}


def main():
    source = random.Random(13)
    questions = [
        (" ".join(source.choices(WORDS, k=3)), str([source.gauss(0, 1) for _ in range(64)])) for _ in range(ROUNDS)
    ]
    preloaded, plain, off = connect("PRELOADED"), connect("PLAIN"), connect("PRELOADED")
    for connection in (preloaded, plain):
        fill(connection)
    off.execute("SET vectorstore.track = off")
    assert preloaded.execute("SELECT vectorstore._stat_preloaded()").fetchone() == (True,)
    assert plain.execute("SELECT vectorstore._stat_preloaded()").fetchone() == (False,)
    medians = alternate({"preloaded": preloaded, "plain": plain, "preloaded, track off": off}, questions)
    counted = preloaded.execute("SELECT calls FROM vs_stat_requests WHERE operation = 'search_vector_store'").fetchone()
    assert counted == (ROUNDS,), counted
    ratio = medians["preloaded"] / medians["plain"]
    print(json.dumps({"rows": ROWS, "rounds": ROUNDS, "p50_us": medians, "ratio": round(ratio, 4), "limit": LIMIT}))
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
