#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tests: changes one place of a header at a time and runs the tests that mirror the header. A change that they do
not notice is a survivor: a test is missing, or the code is not needed, or the change makes no difference.

    mutants.py BUILD [--most N] [--seed S] [--tests X/a,X/b] HEADER...
    mutants.py --self-test

HEADER: include/again/X/y.hpp, or X/y. Its tests are tests/X/y.test.cpp; for a part in X/detail/ without a file of tests they
are those of the headers of X that include it, and the files of tests/X/ that no header has the name of. For a transport they are
also those of tests/transport/, in that transport's program. --most: that many changes of each header, chosen at random (all, if it is left
out). BUILD has each test in a unit of its own (`-Dunited_tests=false`). The sources are not touched: the changed header lies
in a folder that comes first in the search for includes.
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# What is replaced by what. clang-format puts spaces around operators, and none around the brackets of templates.
SWAPS = [(r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "), (r" == ", " != "), (r" != ", " == "),
         (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " / "), (r" / ", " * "),
         (r" % ", " * "), (r" \+= ", " -= "), (r" -= ", " += "), (r"\+\+", "--"), (r"--", "++"), (r" & ", " | "),
         (r" << ", " >> "), (r" >> ", " << "), (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
         (r"\bif \((?!constexpr)", "if (!("), (r"\bwhile \(", "while (!("), (r"\bbreak;", ";"), (r"\bcontinue;", ";"),
         (r"(?<=\()!(?=[\w(])", ""), (r"(?<=return )!(?=[\w(])", "")]
NUMBER = re.compile(r"(?<![\w.'])(\d[\d']*)(?![\w.'])")
STATEMENT = re.compile(r"^\s+(?!return\b|using\b|static_assert\b|throw\b|goto\b|case\b|default\b|else\b|friend\b|co_return\b)"
                       r"(?:[\w:.>*()\[\]&-]+\(.*\)|[\w:.>*()\[\]-]+ [-+*/|&%^]?= .*|\+\+[\w.>-]+|--[\w.>-]+|[\w.>-]+(?:\+\+|--));$")
NO_CODE = re.compile(r"^\s*(?:#|template\b|using\b|static_assert\b|namespace\b|inline namespace\b|concept\b|requires\b|friend\b|///|//|$)")


def code_of(line):
    """The line with its strings blanked out, and without its comment."""
    blank = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: '"' + "_" * (len(m.group()) - 2) + '"', line)
    blank = re.sub(r"'(?:\\.|[^'\\])'", "'_'", blank)
    return blank.split("//")[0].rstrip()


def close(line, opened):
    """The line with one more `)` where the bracket that was opened at `opened` closes; None if that is on another line."""
    depth = 0
    for at in range(opened, len(line)):
        depth += {"(": 1, ")": -1}.get(line[at], 0)
        if depth == 0:
            return line[:at] + ")" + line[at:]
    return None


def mutations(text):
    """(line number from 0, new line) for each change."""
    found = []
    in_static_assert = False
    for number, line in enumerate(text.split("\n")):
        code = code_of(line)
        begins = re.match(r"^\s*static_assert\b", code)
        skip = in_static_assert or begins or NO_CODE.match(code) or "operator" in code or "requires" in code
        in_static_assert = bool((in_static_assert or begins) and not code.endswith(";"))
        if skip:
            continue
        for pattern, new in SWAPS:
            for at in re.finditer(pattern, code):
                changed = line[:at.start()] + new + line[at.end():]
                if new.endswith("(!("):
                    changed = close(changed, at.start() + len(new) - 1)
                if changed is not None:
                    found.append((number, changed))
        for at in NUMBER.finditer(code):
            value = int(at.group(1).replace("'", ""))
            found.append((number, line[:at.start()] + str(value + 1) + line[at.end():]))
        if STATEMENT.match(code):
            found.append((number, re.match(r"^\s*", line).group() + ";"))
    return found


def tests_of(name, root=ROOT):
    """The files of tests that mirror a header: X/y -> [X/y.test.cpp], and what every transport passes, if X has one."""
    folder = name.split("/")[0]
    shared = []
    tested_alone = "/detail/" in name and os.path.exists(os.path.join(root, "tests", name + ".test.cpp"))
    if folder != "http" and not tested_alone and os.path.exists(os.path.join(root, "include/again", folder, "transport.hpp")):
        folder_of_shared = os.path.join(root, "tests/transport")
        shared = ["transport/" + file for file in sorted(os.listdir(folder_of_shared)) if file.endswith(".test.cpp")]
    return own_tests_of(name, root) + shared


def own_tests_of(name, root):
    def test(header):
        path = header + ".test.cpp"
        return [path] if os.path.exists(os.path.join(root, "tests", path)) else []
    if test(name) or "/detail/" not in name:
        return test(name)
    folder = name.split("/")[0]
    wanted, users, seen = [name], [], {name}
    headers = {}
    for where, _, files in os.walk(os.path.join(root, "include/again", folder)):
        for file in sorted(files):
            if file.endswith(".hpp"):
                path = os.path.join(where, file)
                with open(path, encoding="utf-8") as source:
                    headers[os.path.relpath(path, os.path.join(root, "include/again"))[:-len(".hpp")]] = source.read()
    while wanted:
        part = wanted.pop()
        for header, text in sorted(headers.items()):
            if f"<again/{part}.hpp>" in text and header not in seen:
                seen.add(header)
                users += test(header)
                if "/detail/" in header and not test(header):
                    wanted.append(header)
    folder_of_tests = os.path.join(root, "tests", folder)
    for file in sorted(os.listdir(folder_of_tests)) if os.path.isdir(folder_of_tests) else []:
        if file.endswith(".test.cpp") and f"{folder}/{file.removesuffix('.test.cpp')}" not in headers:
            users.append(f"{folder}/{file}")
    return users


class runner:
    """Compiles and runs one file of tests with a changed header. What the programs share was built before."""

    def __init__(self, build):
        self.build = build
        self.root = ROOT
        with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
            self.commands = json.load(file)
        tests = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True, check=True).stdout
        self.tests = {}  # a file may be a part of several programs
        for test in json.loads(tests):
            for word in test["cmd"]:
                if word.startswith("--source-file=*tests/"):
                    self.tests.setdefault(word[len("--source-file=*tests/"):], []).append(test)

    def prepare(self, file, folder):
        """How to compile, link and run one file of tests, for a header of that folder."""
        tests = self.tests.get(file) or sys.exit(f"mutants: the build has no test of tests/{file}")
        test = next((t for t in tests if t["cmd"][0].endswith("/again-" + folder)), tests[0])
        own = os.path.basename(test["cmd"][0]) + ".p/"
        entry = next((e for e in self.commands if os.path.normpath(os.path.join(e["directory"], e["file"])) ==
                      os.path.join(self.root, "tests", file) and own in e["command"]), None)
        if entry is None:
            sys.exit(f"mutants: {self.build} compiles tests/{file} together with others; set -Dunited_tests=false")
        compile_words = [w for w in shlex.split(entry["command"]) if os.path.basename(w) != "ccache"]
        program = os.path.relpath(test["cmd"][0], os.path.abspath(self.build))
        link = subprocess.run(["ninja", "-C", self.build, "-t", "commands", "-s", program], capture_output=True, text=True,
                              check=True).stdout.strip().split("\n")[-1]
        link_words, shared = [], []
        for word in shlex.split(link):
            if word.endswith(".test.cpp.o"):
                continue
            link_words.append(word)
            if word.endswith((".o", ".a")) and not os.path.isabs(word):
                shared.append(word)
        subprocess.run(["ninja", "-C", self.build, *shared], stdout=subprocess.DEVNULL, check=True)
        return compile_words, link_words, test

    def run(self, prepared, overlay, limit):
        """'passes', 'fails', 'hangs' or 'does not compile'."""
        compile_words, link_words, test = prepared
        object_file, program = os.path.join(overlay, "test.o"), os.path.join(overlay, "test")
        words = []
        skip = False
        for word in compile_words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MQ"):
                skip = True
            elif word not in ("-MD", "-Werror"):
                words.append(word)
        words[1:1] = ["-I", os.path.join(overlay, "include"), "-w"]
        done = subprocess.run([*words, "-o", object_file], cwd=self.build, capture_output=True, text=True)
        if done.returncode != 0:
            return "fails" if "static assertion failed" in done.stderr or "static_assert" in done.stderr else "does not compile"
        at = link_words.index("-o") + 1
        subprocess.run([*link_words[:at], program, object_file, *link_words[at + 1:]], cwd=self.build, check=True, capture_output=True)
        environment = {**os.environ, **test.get("env", {})}
        try:
            done = subprocess.run([program, *test["cmd"][1:]], cwd=test["workdir"] or self.build, env=environment, timeout=limit,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return "hangs"
        return "passes" if done.returncode == 0 else "fails"


def try_header(run, name, tests, most, seed):
    path = os.path.join(ROOT, "include/again", name + ".hpp")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.split("\n")
    prepared = {test: run.prepare(test, name.split("/")[0]) for test in tests}
    limits = {}
    with tempfile.TemporaryDirectory() as overlay:
        for test in tests:
            began = time.monotonic()
            if run.run(prepared[test], overlay, 600) != "passes":
                sys.exit(f"mutants: tests/{test} does not pass as it is")
            limits[test] = 20 + 5 * (time.monotonic() - began)
    changes = mutations(text)
    if most and len(changes) > most:
        changes = sorted(random.Random(seed).sample(changes, most))

    def attempt(change):
        number, new = change
        with tempfile.TemporaryDirectory() as overlay:
            copy = os.path.join(overlay, "include/again", name + ".hpp")
            os.makedirs(os.path.dirname(copy))
            with open(copy, "w", encoding="utf-8") as file:
                file.write("\n".join([*lines[:number], new, *lines[number + 1:]]))
            for test in tests:
                result = run.run(prepared[test], overlay, limits[test])
                if result != "passes":
                    return result
            return "passes"

    counts = {"passes": 0, "fails": 0, "hangs": 0, "does not compile": 0}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (number, new), result in zip(changes, pool.map(attempt, changes)):
            counts[result] += 1
            if result == "passes":
                print(f"include/again/{name}.hpp:{number + 1}: survives\n  - {lines[number].strip()}\n  + {new.strip()}", flush=True)
    print(f"{name}: {len(changes)} changes: {counts['fails'] + counts['hangs']} noticed ({counts['hangs']} as a hang), "
          f"{counts['passes']} survive, {counts['does not compile']} do not compile ({', '.join(tests)})", flush=True)


def self_test():
    cases = [
        ("  if (a < b) return;", ["  if (a <= b) return;", "  if (!(a < b)) return;"]),
        ("  return n + 1;  // a < b", ["  return n - 1;  // a < b", "  return n + 2;  // a < b"]),
        ("  count_ = 0;", ["  count_ = 1;", "  ;"]),
        ("  wake(all);", ["  ;"]),
        ("  ++size_;", ["  --size_;", "  ;"]),
        ("  return !done(x);", ["  return done(x);"]),
        ("  puts(\" < true\");", ["  ;"]),
        ("  void wake();", []),
        ("  constexpr int f(int a) noexcept;", []),
        ("template <int N = 1>", []),
        ("  static_assert(a == 1,\n                \"a + b\");", []),
        ("  // x == y", []),
        ("/// size < 3", []),
        ("#if defined(X) && defined(Y)", []),
    ]
    failed = 0
    for text, expected in cases:
        got = [new for _, new in mutations(text)]
        if sorted(got) != sorted(expected):
            failed += 1
            print(f"{text!r}: expected {expected}, got {got}")
    with tempfile.TemporaryDirectory() as root:
        for path, text in {"include/again/x/a.hpp": "#include <again/x/detail/b.hpp>\n", "include/again/x/detail/b.hpp":
                           "#include <again/x/detail/c.hpp>\n", "include/again/x/detail/c.hpp": "", "tests/x/a.test.cpp": "",
                           "include/again/x/e.hpp": "", "tests/x/e.test.cpp": "", "tests/x/bounds.test.cpp": "",
                           "include/again/y/transport.hpp": "", "tests/y/transport.test.cpp": "",
                           "tests/transport/tls.test.cpp": ""}.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        for name, expected in [("x/a", ["x/a.test.cpp"]), ("x/detail/c", ["x/a.test.cpp", "x/bounds.test.cpp"]), ("x/f", []),
                               ("y/transport", ["y/transport.test.cpp", "transport/tls.test.cpp"])]:
            if tests_of(name, root) != expected:
                failed += 1
                print(f"{name}: expected {expected}, got {tests_of(name, root)}")
    print(f"mutants --self-test: {len(cases) + 4 - failed} of {len(cases) + 4} cases as they should be")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(bool(self_test()))
    parser = argparse.ArgumentParser(description="Changes of a header that its tests do not notice")
    parser.add_argument("build")
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", default="")
    parser.add_argument("headers", nargs="+", metavar="HEADER")
    asked = parser.parse_args()
    run = runner(asked.build)
    for header in asked.headers:
        name = re.sub(r"^(.*/)?include/again/", "", header).removesuffix(".hpp")
        if not os.path.exists(os.path.join(ROOT, "include/again", name + ".hpp")):
            sys.exit(f"mutants: there is no include/again/{name}.hpp")
        tests = [t.removesuffix(".test.cpp") + ".test.cpp" for t in asked.tests.split(",") if t] or tests_of(name)
        if not tests:
            sys.exit(f"mutants: no tests mirror {name}; name some with --tests X/y")
        try_header(run, name, tests, asked.most, asked.seed)


main()
