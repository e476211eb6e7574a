#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Misuse is an error with a sentence of ours: each tests/fail/*.cpp must not compile, and must say what it EXPECTs.

    must_not_compile.py BUILD FILE...      FILE holds at least one line `// EXPECT: sentence`;
                                           `// EXPECT-gcc:` and `// EXPECT-clang:` count for that compiler only;
                                           `// FLAGS:` (`-gcc`, `-clang`) adds flags;
                                           `// NEEDS: header` leaves the file out where that header is not installed
    must_not_compile.py BUILD --self-test

BUILD's compile_commands.json gives compiler and flags. A folder stands for the .cpp files in it.
The first sentence has to belong to the compiler's first error, and all of them have to appear within the first dozen lines of its
output: near the top, where people read.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import compile_flags

NEAR_THE_TOP = 12
LINE = re.compile(r"^\s*// (EXPECT|FLAGS|NEEDS)(-gcc|-clang)?: ?(.*?)\s*$", re.M)


def check(command, file):
    """None if the file fails as it should, else what is wrong."""
    mine = "-clang" if compile_flags.is_clang(command[:1]) else "-gcc"
    with open(file, encoding="utf-8") as source:
        lines = [(word, text) for word, which, text in LINE.findall(source.read()) if which in ("", mine)]
    sentences = [text for word, text in lines if word == "EXPECT"]
    flags = [flag for word, text in lines if word == "FLAGS" for flag in text.split()]
    if not sentences or not all(sentences):
        return "has no '// EXPECT: sentence' for this compiler"
    for header in [text for word, text in lines if word == "NEEDS"]:
        there = subprocess.run([*command, *flags, "-fsyntax-only", "-x", "c++", "-"], capture_output=True, text=True,
                               input=f"#if !__has_include(<{header}>)\n#error\n#endif\n")
        if there.returncode != 0:
            print(f"left out: {os.path.basename(file)}: <{header}> is not installed")
            return None
    run = subprocess.run([*command, *flags, "-fsyntax-only", "-fno-diagnostics-color", file], capture_output=True, text=True)
    if run.returncode == 0:
        return "compiles, and must not"
    if run.returncode < 0 or "internal compiler error" in run.stderr:
        return "crashes the compiler:\n" + run.stderr
    head = "\n".join(run.stderr.split("\n")[:NEAR_THE_TOP])
    for sentence in sentences:
        if sentence not in head:
            where = "is not near the top" if sentence in run.stderr else "is missing"
            return f"'{sentence}' {where}; the compiler says\n{head}"
    if sentences[0] not in "".join(re.split(r"error: ", run.stderr, maxsplit=2)[:2]):  # the first error and its notes
        return f"'{sentences[0]}' does not belong to the first error; the compiler says\n{head}"
    return None


def self_test(command):
    good = "static_assert(sizeof(int) == 0, \"an int has a size\");\n"
    cases = [
        ("// EXPECT: an int has a size\n" + good, None),
        ("// EXPECT: an int has a size\n// EXPECT: sizeof\n" + good, None),
        ("// EXPECT-gcc: an int has a size\n// EXPECT-clang: an int has a size\n" + good, None),
        ("// EXPECT: an int has a size\nint main() {}\n", "compiles, and must not"),
        ("// NEEDS: no/such.hpp\n// EXPECT: an int has no size\n" + good, None),
        ("// NEEDS: cstddef\n// EXPECT: an int has no size\n" + good, "is missing"),
        ("// EXPECT: an int has no size\n" + good, "is missing"),
        ("// EXPECT: an int has a size\n// EXPECT: no such text\n" + good, "is missing"),
        ("// EXPECT: late\n" + good * 15 + "static_assert(false, \"late\");\n", "is not near the top"),
        ("// EXPECT: second\n" + good + "static_assert(sizeof(int) == 0, \"second\");\n", "does not belong to the first error"),
        ("// EXPECT: an int has a size\n// FLAGS: -DBROKEN\n#ifdef BROKEN\n" + good + "#endif\n", None),
        ("// EXPECT: an int has a size\n#ifdef BROKEN\n" + good + "#endif\n", "compiles, and must not"),
        (good, "has no '// EXPECT"),
        ("// EXPECT:\n" + good, "has no '// EXPECT"),
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (text, expected) in enumerate(cases):
            file = os.path.join(folder, f"case{number}.cpp")
            with open(file, "w", encoding="utf-8") as source:
                source.write(text)
            got = check(command, file)
            if (got is None) != (expected is None) or (expected and expected not in got):
                failed += 1
                print(f"expected {expected!r}, got {str(got)[:200]!r} for\n{text[:200]}")
    print(f"must_not_compile --self-test: {len(cases) - failed} of {len(cases)} cases as they should be")
    return failed


def main():
    build, files = sys.argv[1], sys.argv[2:]
    command = compile_flags.of(build, "tests/odr/one.cpp")
    if files == ["--self-test"]:
        sys.exit(bool(self_test(command)))
    files = [f for each in files for f in
             (sorted(os.path.join(each, n) for n in os.listdir(each) if n.endswith(".cpp")) if os.path.isdir(each) else [each])]
    if not files:
        sys.exit("no files")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, wrong in zip(files, pool.map(lambda f: check(command, f), files)):
            failed += wrong is not None
            print(f"{'FAIL' if wrong else 'ok  '} {os.path.basename(file)}{': ' + wrong if wrong else ''}")
    print(f"must_not_compile: {len(files) - failed} of {len(files)} fail as they should")
    sys.exit(bool(failed))


main()
