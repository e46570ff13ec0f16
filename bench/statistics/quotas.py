"""What quotas cost who loads: the same batches into two databases of one server, one with quotas of the store and of the
tenant, and one in which the functions that check them do nothing, turn by turn; and how many batches a second many
writers bring into one store with quotas. Prints medians and ratios, as JSON."""

import json
import os
import random
import statistics
import sys
import threading
import time

import psycopg

BATCHES, ROWS, LIMIT, WRITERS, SECONDS, RATE = int(os.environ.get("BATCHES", "60")), 1000, 1.10, (16, 64), 8, 300
WORDS = [f"word{number}" for number in range(2000)]
NOTHING = """
CREATE OR REPLACE FUNCTION vectorstore._count_tenant(p_tenant bigint, p_stores bigint, p_chunks bigint, p_bytes bigint)
    RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE OR REPLACE FUNCTION vectorstore._check_quota(p_counters record, p_chunks bigint, p_bytes bigint)
    RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
"""


def connect(database):
    connection = psycopg.connect(os.environ["PRELOADED"], dbname=database, autocommit=True)
    connection.prepare_threshold = 1
    return connection


def database(server, name):
    server.execute(f"CREATE DATABASE {name}")
    connection = connect(name)
    connection.execute("CREATE EXTENSION vectorstore CASCADE")
    connection.execute("SELECT vs_create_store('s', embedding_model => 'none', dimensions => 64)")
    return connection


def batch(source, rows):
    texts = [" ".join(source.choices(WORDS, k=40)) for _ in range(rows)]
    return texts, [str([source.gauss(0, 1) for _ in range(64)]) for _ in range(rows)]


def load(connection, texts, vectors):
    begin = time.perf_counter()
    connection.execute("SELECT cardinality(vs_upsert('s', %s::text[], embeddings => %s::vector[]))", [texts, vectors])
    return time.perf_counter() - begin


def cost(limited, free):
    """Medians of both, for big batches and for single chunks."""
    source, found = random.Random(3), {}
    for rows, count in ((ROWS, BATCHES), (1, 20 * BATCHES)):
        times = {"quotas": [], "none": []}
        for turn in range(count):
            texts, vectors = batch(source, rows)
            contestants = [("quotas", limited), ("none", free)]
            source.shuffle(contestants)
            for name, connection in contestants:
                seconds = load(connection, texts, vectors)
                if turn >= count // 10:
                    times[name].append(seconds)
        found[rows] = {name: statistics.median(series) for name, series in times.items()}
    return found


def rate(name, writers):
    """Batches a second of so many writers of one store, each batch a transaction of 1 to 100 small chunks. Nobody writes
    before all are connected."""
    ready, done = threading.Barrier(writers), []

    def write(number):
        source, batches = random.Random(number), 0
        with connect(name) as connection:
            ready.wait(60)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                rows = source.choice([1, 2, 5, 10, 20, 50, 100])
                connection.execute(
                    "SELECT vs_upsert('small', array_fill('a text'::text, ARRAY[%s]), embeddings => array_fill('[1,2]'::vector, ARRAY[%s]))",
                    [rows, rows],
                )
                batches += 1
        done.append(batches)

    threads = [threading.Thread(target=write, args=[number]) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == writers, "a writer failed"
    return sum(done) / SECONDS


def main():
    server = connect("postgres")
    limited, free = database(server, "quotas"), database(server, "free")
    limited.execute("SELECT vs_set_quota('s', max_chunks => 1000000000, max_bytes => 1000000000000)")
    limited.execute("SELECT vs_set_tenant_quota('default', max_chunks => 1000000000, max_bytes => 1000000000000)")
    free.execute(NOTHING)
    medians = cost(limited, free)
    ratio = medians[ROWS]["quotas"] / medians[ROWS]["none"]
    limited.execute("SELECT vs_create_store('small', embedding_model => 'none', dimensions => 2)")
    limited.execute("SELECT vs_set_quota('small', max_chunks => 1000000000)")
    rates = {writers: round(rate("quotas", writers)) for writers in WRITERS}
    assert limited.execute("SELECT * FROM vs_verify_stats()").fetchall() == []
    print(json.dumps({
        "rows": ROWS, "batches": BATCHES, "p50_ms": {rows: {name: round(1000 * seconds, 3) for name, seconds in both.items()} for rows, both in medians.items()},
        "ratio": round(ratio, 4), "limit": LIMIT, "ratio_single_chunks": round(medians[1]["quotas"] / medians[1]["none"], 4),
        "batches_per_second": rates, "wanted": RATE,
    }))  # fmt: skip
    return 0 if ratio <= LIMIT and min(rates.values()) >= RATE else 1


if __name__ == "__main__":
    sys.exit(main())
