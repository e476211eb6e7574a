#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The experimental module `again` exports what <again/again.hpp> declares, and a program that imports it runs.

    check_module.py SOURCE     77 (skipped) without clang++-19

The compiler lists what is declared in namespace again (and in its namespaces but detail); what is not exported is named. The
program is tests/module/retry.cpp, and prints what its lines `// PRINTS: text` say.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

COMPILER = "clang++-19"
FLAGS = ["-std=c++23", "-pthread"]
NAME = re.compile(r"(?:\w+::)*(?:\w+|operator[^\w\s].*)$")


def compiler(source, *args, text=None):
    return subprocess.run([COMPILER, *FLAGS, "-I" + os.path.join(source, "include"), *args], input=text, capture_output=True, text=True)


def declared(source):
    """What a user can name. The compiler lists template parameters and locals, too: those cannot be named in a using declaration."""
    listed = compiler(source, "-fsyntax-only", "-Xclang", "-ast-list", os.path.join(source, "include/again/again.hpp")).stdout
    names = sorted({line[len("again::"):] for line in listed.splitlines() if line.startswith("again::")})
    names = [n for n in names if NAME.match(n) and not n.startswith("detail::")]
    found, namespaces = set(), {""}
    for depth in range(3):
        here = [n for n in names if n.count("::") == depth and "".join(n.rpartition("::")[:2]) in namespaces]
        probe = "#include <again/again.hpp>\n" + "".join(f"namespace probe{i} {{ using again::{n}; }}\n" for i, n in enumerate(here))
        said = compiler(source, "-fsyntax-only", "-ferror-limit=0", "-x", "c++", "-", text=probe).stderr
        wrong = {int(line) - 2: what for line, what in re.findall(r"<stdin>:(\d+):\d+: error: (.*)", said)}
        found |= {n for i, n in enumerate(here) if i not in wrong}
        namespaces |= {here[i] + "::" for i, what in wrong.items()
                       if "cannot refer to a namespace" in what and here[i] != "detail" and not here[i].startswith("with_")}
    return found


def exported(text):
    return set(re.findall(r"^using again::(.+);$", text, re.M))


def run(source):
    if not shutil.which(COMPILER):
        print(f"needs {COMPILER}: no other compiler has been tried with modules")
        return 77
    interface = os.path.join(source, "modules/again.cppm")
    with open(interface, encoding="utf-8") as file:
        text = file.read()
    wanted = declared(source)
    if len(wanted) < 100 or not {"retry", "task", "operator|", "budgets::tokens"} <= wanted:
        print(f"the compiler's list of names is not understood: {sorted(wanted)}")
        return 1
    if exported(text.replace("using again::retry;\n", "")) != exported(text) - {"retry"}:
        print("a name that is not exported would not be seen")
        return 1
    difference = wanted ^ exported(text)
    for name in sorted(difference):
        print(f"modules/again.cppm: {'lacks' if name in wanted else 'has, and again.hpp lacks,'} again::{name}")

    program = os.path.join(source, "tests/module/retry.cpp")
    with open(program, encoding="utf-8") as file:
        expected = re.findall(r"^// PRINTS: (.*)$", file.read(), re.M)
    with tempfile.TemporaryDirectory() as folder:
        built, binary = os.path.join(folder, "again.pcm"), os.path.join(folder, "retry")
        for step in (["--precompile", interface, "-o", built], ["-Wall", "-Wextra", "-Werror", "-fmodule-file=again=" + built, program, built, "-o", binary]):
            done = compiler(source, *step)
            if done.returncode:
                print(done.stderr)
                return 1
        ran = subprocess.run([binary], capture_output=True, text=True, timeout=60)
    if ran.returncode or ran.stdout.splitlines() != expected:
        print(f"exit {ran.returncode}, expected {expected}, printed:\n{ran.stdout}{ran.stderr}")
        return 1
    print(f"check_module: {len(wanted)} names exported, {len(difference)} faults")
    return bool(difference)


sys.exit(run(sys.argv[1]))
