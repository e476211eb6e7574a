#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two units that disagree about `expected` do not link, even where a function names the library in its result alone.

    check_abi.py INCLUDE UNITS COMPILER...     UNITS: the folder with makes.cpp, uses.cpp and results.hpp; a compiler that is
                                               not installed is left out; exit 77 (skipped) without tl::expected
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

STANDARDS = {"std::expected": "-std=c++23", "tl::expected": "-std=c++20"}
HAS_STD = "#include <version>\n#ifndef __cpp_lib_expected\n#error\n#endif\n"


def run(*command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def compiles(compiler, standard, text):
    return run(compiler, standard, "-fsyntax-only", "-x", "c++", "-", text=text)[0] == 0


def check(compiler, include, units, folder):
    """Sentences about what is wrong with this compiler, and the number of pairs tried."""
    with open(os.path.join(units, "results.hpp"), encoding="utf-8") as file:
        functions = re.findall(r"^\S.* (\w+)\(\);$", file.read(), re.M)
    objects = {}
    for kind, standard in STANDARDS.items():
        for unit in ("makes", "uses"):
            objects[unit, kind] = os.path.join(folder, unit + standard + ".o")
            status, said = run(compiler, standard, "-I" + include, "-c", os.path.join(units, unit + ".cpp"), "-o", objects[unit, kind])
            if status:
                sys.exit(f"{compiler} {standard} {unit}.cpp:\n{said}")
    faults, pairs = [], 0
    for maker in STANDARDS:
        for user in STANDARDS:
            program = os.path.join(folder, "program")
            status, said = run(compiler, objects["makes", maker], objects["uses", user], "-pthread", "-o", program)
            pairs += 1
            pair = f"{compiler}: a unit with {maker} and one with {user}"
            if maker == user:
                if status:
                    faults.append(f"{pair} do not link:\n{said}")
                elif run(program)[0]:
                    faults.append(f"{pair} link, and the program fails")
            else:
                faults += [f"{pair} link, as far as {f}() is concerned" for f in functions
                           if not re.search(rf"undefined (?:reference|symbol).*\b{f}\b", said)]
    return faults, pairs, len(functions)


def main():
    include, units, compilers = sys.argv[1], sys.argv[2], [c for c in sys.argv[3:] if shutil.which(c)]
    able = [c for c in compilers if compiles(c, "-std=c++23", HAS_STD) and compiles(c, "-std=c++20", "#include <tl/expected.hpp>\n")]
    if not able:
        print("skipped: no compiler here has both std::expected and tl::expected")
        sys.exit(77)
    failed = False
    for compiler in able:
        with tempfile.TemporaryDirectory() as folder:
            faults, pairs, functions = check(compiler, include, units, folder)
        for fault in faults:
            print(fault)
        failed = failed or bool(faults)
        print(f"check_abi: {compiler}: {pairs} pairs of units, {functions} functions, {len(faults)} faults")
    sys.exit(failed)


main()
