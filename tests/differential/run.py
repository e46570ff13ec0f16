"""The differential test: random operations on the server and on a naive model of it; any difference ends the run.

scripts/test-differential starts it, with a cluster of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from dataclasses import dataclass

import psycopg

from check import Mismatch
from crash import Crashes, Tally, check_world, copy_database
from faults import FAULTS, Fault
from generate import Generator
from operations import Operations
from server import API_KEY, Features, Lexemes, connect, detect
from session import Session, Shared

DATABASE = "differential"


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    operations: int
    crashes: int
    dumps: int
    sessions: int
    # Rows of a large store; none for 0.
    large: int = 0
    # Outcomes of the first crashes, from the message of an earlier run.
    outcomes: str = ""


def fresh_database(fault: Fault) -> Features:
    """The extension, an API key and perhaps a fault in a database that was not there before."""
    os.environ["PGDATABASE"] = DATABASE
    with connect("postgres") as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
        admin.execute("ALTER SYSTEM RESET ALL")
        admin.execute("SELECT pg_reload_conf()")
    with connect() as connection:
        connection.execute("CREATE EXTENSION vectorstore CASCADE")
        connection.execute("SELECT vs_install()")
        connection.execute(f"SELECT vs_create_api_key('differential', {API_KEY})".encode())
        connection.execute("CHECKPOINT")
        if fault.sql:
            connection.execute(fault.sql.encode())
        for setting in fault.settings:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        return detect(connection)


def run(plan: Plan, fault: Fault) -> str | None:
    """Runs a plan. A description of the first difference, or nothing."""
    features = fresh_database(fault)
    shared, lexemes = Shared(), Lexemes()
    operations = Operations(Generator(plan.seed), shared, lexemes)
    crashes = Crashes(operations, features, fault.torn, forced=plan.outcomes)
    begin, done = time.monotonic(), 0
    crash_at = {plan.operations * (n + 1) // (plan.crashes + 1) for n in range(plan.crashes)}
    dump_at = {plan.operations * (n + 1) // plan.dumps for n in range(plan.dumps)}
    try:
        for number in range(plan.sessions):
            operations.vary(Session(number, shared, features))
        if plan.large:
            operations.create_large(shared.sessions[0], plan.large)
        for done in range(1, plan.operations + 1):
            operations.step()
            if done in crash_at and shared.committed:
                crashes.crash()
            if done in dump_at:
                copy_database(operations, features, fault.spoil)
            if done % 2_000 == 0:
                print(f"{done} operations, {time.monotonic() - begin:.0f} s", flush=True)
        for session in shared.sessions:
            if session.level:
                session.rollback()
        operations.what = "the end"
        check_world(operations, shared.sessions[0], shared.committed)
    except Mismatch as difference:
        return describe(plan, done, operations, crashes, str(difference))
    except psycopg.Error as error:
        what = f"an error of the server: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
        return describe(plan, done, operations, crashes, what)
    finally:
        for session in shared.sessions:
            session.server.connection.close()
        lexemes.forget_connection()
    report(operations, crashes.tally, features, time.monotonic() - begin)
    return None


def describe(plan: Plan, done: int, operations: Operations, crashes: Crashes, difference: str) -> str:
    """What differs, where, and how to see it again."""
    again = f"--seed {plan.seed} --operations {plan.operations} --crashes {plan.crashes} --sessions {plan.sessions}"
    if plan.large:
        again += f" --large {plan.large}"
    if crashes.outcomes:
        again += f" --outcomes {crashes.outcomes}"
    return f"operation {done}, {operations.what}\n  {difference}\n  again: scripts/test-differential {again}"


def report(operations: Operations, tally: Tally, features: Features, seconds: float) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(operations.done.items(), key=lambda item: -item[1]))
    print(f"{sum(operations.done.values())} operations in {seconds:.0f} s, no difference: {counts}")
    crashes = tally.acknowledged + tally.whole + tally.nothing
    fates = f"{tally.acknowledged} acknowledged, {tally.whole} there all the same, {tally.nothing} not there"
    print(f"{crashes} crashes; the write under way: {fates}")
    rows = sorted(rows for rows, _ in operations.sizes)
    empty = sum(hits == 0 for _, hits in operations.sizes)
    sizes = f"{rows[len(rows) // 2]} rows (median), {rows[-1]} at most"
    print(f"{len(rows)} searches, {empty} without a hit, in stores of {sizes}")
    exact = ", ".join(features.exact) or "nothing"
    print(f"vs_merge: {'yes' if features.merge else 'no'}; vector leg made exact by: {exact}")


def prove(names: list[str], seed: int) -> int:
    """Every fault must be found. How many were not."""
    missed = 0
    for name in names:
        fault = FAULTS[name]
        begin = time.monotonic()
        crashing = fault.torn or fault.settings
        plan = Plan(seed, 1_500, crashes=75 if crashing else 0, dumps=30 if fault.spoil else 1, sessions=4)
        found = run(plan, fault)
        missed += found is None
        verdict = "NOT FOUND" if found is None else "found"
        print(f"{name}: {verdict} after {time.monotonic() - begin:.0f} s: {(found or '')[:400]}", flush=True)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test-differential", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--operations", type=int, default=2_000, help="2,000 by default; a full run takes 20,000")
    parser.add_argument("--crashes", type=int, help="one in 400 operations by default")
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--large", type=int, default=0, help="rows of one store larger than the others")
    parser.add_argument("--outcomes", default="", help="of the first crashes, as an earlier run printed them")
    parser.add_argument("--faults", nargs="*", metavar="NAME", help="prove that planted faults are found (all)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.faults is not None:
        if unknown := set(options.faults) - FAULTS.keys():
            parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
        return 1 if prove(options.faults or list(FAULTS), options.seed) else 0
    crashes = options.operations // 400 if options.crashes is None else options.crashes
    plan = Plan(options.seed, options.operations, crashes, 2, options.sessions, options.large, options.outcomes)
    difference = run(plan, Fault())
    if difference:
        print(f"DIFFERENCE: seed {options.seed}, {difference}", file=sys.stderr)
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
