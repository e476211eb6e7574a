#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the Promela models of tests/models through spin: every assertion and every ltl formula, and each variant that is
broken on purpose (#ifdef BROKEN_…), which has to fail: a model that cannot fail proves nothing.

    check_models.py FOLDER      exit 77 (skipped) where spin or a C compiler is missing
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def verdict(model, cc, defines, formula):
    """None if spin finds nothing wrong, else what it says. formula None: assertions and deadlocks."""
    with tempfile.TemporaryDirectory() as folder:
        status, text = run(["spin", *defines, "-a", model], folder)
        if status != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            raise RuntimeError("spin: " + text)
        safety = ["-DSAFETY", "-DNOCLAIM"] if formula is None else ["-DNFAIR=3"]
        status, text = run([cc, "-O2", "-w", "-DVECTORSZ=2048", *safety, "-o", "pan", "pan.c"], folder)
        if status != 0:
            raise RuntimeError("the verifier does not compile: " + text)
        options = [] if formula is None else ["-a", "-f", "-N", formula]
        status, text = run(["./pan", "-m200000", *options], folder)
        found = re.search(r"errors: (\d+)", text)
        if found is None or "max search depth too small" in text or "out of memory" in text:
            raise RuntimeError("the search was not complete:\n" + text)
        return None if found.group(1) == "0" else text


def main():
    cc = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if shutil.which("spin") is None or cc is None:
        print("spin or a C compiler is missing: skipped")
        sys.exit(77)
    failed = 0
    folder = os.path.abspath(sys.argv[1])
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".pml")):
        model = os.path.join(folder, name)
        with open(model, encoding="utf-8") as file:
            text = file.read()
        formulas = [None, *re.findall(r"^ltl (\w+)", text, re.M)]
        for formula in formulas:
            wrong = verdict(model, cc, [], formula)
            print(f"{name}: {formula or 'assertions'}: {'holds' if wrong is None else 'FAILS'}")
            if wrong is not None:
                failed += 1
                print(wrong)
        for broken in sorted(set(re.findall(r"BROKEN_\w+", text))):
            caught = any(verdict(model, cc, ["-D" + broken], f) is not None for f in formulas)
            print(f"{name}: {broken}: {'caught' if caught else 'NOT CAUGHT'}")
            failed += not caught
    sys.exit(failed != 0)


main()
