#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up all test logs of meson below a folder: `N passed, N failed`, and exit 1 unless something passed and nothing failed.

    count_tests.py BUILDS [FAILED_SECTIONS]

A doctest program counts its cases; any other test counts as one. A section that failed without a failed test (it did not
compile) counts as one failure, so that the line never says `0 failed` about a red run.
"""
import glob
import json
import os
import re
import sys

CASES = re.compile(r"\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed")


def count(test):
    cases = CASES.findall(test.get("stdout") or "")
    passed, failed = sum(int(c[1]) for c in cases), sum(int(c[2]) for c in cases)
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        return (passed, failed) if cases else (1, 0)
    if test["result"] == "SKIP":
        return (0, 0)
    return (passed, max(failed, 1))


def main():
    passed = failed = 0
    builds = ["*", "debian13/*"]
    for log in [log for build in builds for log in glob.glob(os.path.join(sys.argv[1], build, "meson-logs/testlog.json"))]:
        with open(log, encoding="utf-8") as file:
            for line in file:
                p, f = count(json.loads(line))
                passed, failed = passed + p, failed + f
    failed = max(failed, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
