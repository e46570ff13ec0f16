"""How many made-up requests of each operation were accepted; fails when they were too few, or none were sent at all.

usage: accepted.py COUNTS OPENAPI FLOOR      COUNTS was written by hooks.py
"""

import json
import sys


def main(counts_path, document_path, floor):
    with open(counts_path, encoding="utf-8") as file:
        counts = json.load(file)
    with open(document_path, encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    operations = sorted(operation["operationId"] for path in paths.values() for operation in path.values())
    width = max(map(len, operations))
    print(f"{'operation':{width}}   sent  accepted")
    few = []
    for operation in operations:
        sent, accepted = counts.get(operation, (0, 0))
        missed = accepted < floor
        print(f"{operation:{width}} {sent:6d} {accepted:9d}{'   too few' if missed else ''}")
        if missed:
            few.append(operation)
    if few:
        print(f"fewer than {floor} requests were accepted of: {', '.join(few)}")
    return 1 if few else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
