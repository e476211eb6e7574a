#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs hot_paths under callgrind and compares the instructions of each path with its bound.

    count_instructions.py PROGRAM     exit 1 for a path above its bound, 77 (skipped) where there is no valgrind
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile


def main(program):
    if shutil.which("valgrind") is None:
        print("no valgrind")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + os.path.join(folder, "dump"), program,
                              "--instructions"], capture_output=True, text=True)
        if run.returncode != 0:
            print(run.stderr[-2000:])
            return 1
        totals = {}
        for name in glob.glob(os.path.join(folder, "dump.*")):
            with open(name, encoding="utf-8") as file:
                text = file.read()
            trigger = re.search(r"^desc: Trigger: Client Request: (\d+)/(\d+)$", text, re.M)
            total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
            if trigger and total:
                totals.setdefault(int(trigger[1]), []).append((int(trigger[2]), int(total[1])))
    faults = 0
    for line in run.stdout.strip().split("\n"):
        index, name, bound = line.split("\t")
        dumps = sorted(totals.get(int(index), []))
        if len(dumps) != 2:
            print("no callgrind dump (was valgrind/callgrind.h there when this was compiled?)")
            return 77
        each = (dumps[1][1] - dumps[0][1]) / (dumps[1][0] - dumps[0][0])
        good = 0 < each <= float(bound)
        faults += not good
        print(f"{'ok   ' if good else 'FAULT'} {name:<50} {each:10.1f} instructions (at most {bound})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
