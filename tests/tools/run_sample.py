#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a sample of the docs and compares what it prints with the file that the docs quote.

    run_sample.py EXPECTED PROGRAM [ARG...]      exit 1 and a diff if they differ, or the program's exit code

In EXPECTED, `#` stands for any number (times differ from run to run); everything else is literal.
"""
import difflib
import re
import subprocess
import sys


def main():
    expected_file, command = sys.argv[1], sys.argv[2:]
    with open(expected_file, encoding="utf-8") as file:
        expected = file.read().splitlines()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
    printed = done.stdout.splitlines()

    def matches(pattern, line):
        return re.fullmatch(re.escape(pattern).replace(r"\#", r"\d+(?:\.\d+)?"), line)

    if len(expected) == len(printed) and all(map(matches, expected, printed)):
        sys.exit(done.returncode)
    print("\n".join(difflib.unified_diff(expected, printed, expected_file, "printed", lineterm="")))
    sys.exit(1)


main()
