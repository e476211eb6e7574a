#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says which tests of the last run were left out, and why: the last line that each has printed.

    left_out.py BUILD
"""
import json
import os
import sys


def main():
    log = os.path.join(sys.argv[1], "meson-logs/testlog.json")
    if not os.path.exists(log):
        return
    with open(log, encoding="utf-8") as file:
        tests = [json.loads(line) for line in file]
    for test in tests:
        if test["result"] == "SKIP":
            said = (test.get("stdout") or test.get("stderr") or "").strip().splitlines()
            print(f"left out: {test['name'].split(' / ')[-1]}: {said[-1] if said else 'it does not say why'}")


main()
