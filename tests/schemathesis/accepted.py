"""How many made-up requests of each operation were accepted; fails when they were too few, or none were sent at all.

usage: accepted.py COUNTS OPENAPI FLOOR      COUNTS was written by hooks.py
"""

import json
import sys


# Left out in schemathesis.toml.
LEFT_OUT = {"set_quotas", "set_rate_limit"}


def main(counts_path, document_path, floor):
    with open(counts_path, encoding="utf-8") as file:
        counts = json.load(file)
    with open(document_path, encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    operations = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert operations >= LEFT_OUT, "an operation that is left out does not exist"
    operations = sorted(operations - LEFT_OUT)
    width = max(map(len, operations))
    print(f"{'operation':{width}}   sent  accepted   most frequent refusals of what should be right")
    few = []
    for operation in operations:
        count = counts.get(operation, {"sent": 0, "accepted": 0, "refused": {}})
        sent, accepted = count["sent"], count["accepted"]
        # Where nothing can be varied, one request is all.
        missed = accepted < (floor if sent > 30 else 1)
        why = sorted(count["refused"].items(), key=lambda item: -item[1])[:5]
        told = ", ".join(f"{times} x {reason}" for reason, times in why)
        print(f"{operation:{width}} {sent:6d} {accepted:9d}   {'TOO FEW  ' if missed else ''}{told}")
        if missed:
            few.append(operation)
    if few:
        print(f"fewer than {floor} requests were accepted of: {', '.join(few)}")
    return 1 if few else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
