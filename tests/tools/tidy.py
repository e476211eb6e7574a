#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy over all headers (in one unit that has them all) and each example, with the flags of a clang build folder.

    tidy.py BUILD [WORD...]      only the files whose path has one of the words in it
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys


FINDING = re.compile(r"^(\S+):\d+:\d+: (?:error|warning): .*\[([\w.,-]+)\]$", re.M)


def ours(output):
    """Whether a finding is in a file of ours: the analyzer follows calls into the headers of others. An error of the compiler counts
    wherever it is."""
    return any(not path.startswith("/usr/") or "clang-diagnostic" in check for path, check in FINDING.findall(output))


def main():
    build, words = sys.argv[1], sys.argv[2:]
    tidy = shutil.which("clang-tidy-19") or shutil.which("clang-tidy")
    if not tidy:
        sys.exit("tidy: clang-tidy-19 is not installed")
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    files = sorted({os.path.normpath(os.path.join(e["directory"], e["file"])) for e in entries})
    files = [f for f in files if f.endswith("/tests/odr/one.cpp") or "/docs/examples/" in f]
    files = [f for f in files if not words or any(w in f for w in words)]

    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".clang-tidy")

    def run(file):
        # Half of the time of a program goes into looking for each use of each parameter in the headers again: once is enough.
        less = ["--checks=-performance-unnecessary-value-param"] if "/docs/examples/" in file else []
        return subprocess.run([tidy, "-p", build, "--quiet", f"--config-file={config}", *less, file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    seen, faulty = set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, result in zip(files, pool.map(run, files)):
            bad = result.returncode != 0 and (not FINDING.search(result.stdout) or ours(result.stdout))
            faulty += bad
            if bad and result.stdout not in seen:
                seen.add(result.stdout)
                print(result.stdout)
    print(f"clang-tidy: {len(files)} files, {faulty} with findings")
    sys.exit(bool(faulty) or not files)


main()
