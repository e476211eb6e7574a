#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes one unit of several tests, which pay for their headers and for the library's inline functions once.

    unite.py TESTS OUTPUT NAME...      NAME: a test below the folder TESTS; exit 1 for one that cannot share a unit

Each test keeps its names to itself: what it includes is included first, then the test itself stands in a namespace of its own.
One that specializes a template of somebody else has to stay outside.
"""
import os
import re
import sys

DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(include|if|ifdef|ifndef|endif)\b[^\n]*", re.M)


def from_tests(tests, name, include):
    """A header beside the test, as one below the folder of all tests."""
    quoted = re.search(r'"([^"]+)"', include)
    beside = os.path.join(os.path.dirname(name), quoted.group(1)) if quoted else ""
    return f'#include "{beside}"' if beside and os.path.exists(os.path.join(tests, beside)) else include


def includes_of(tests, name, text):
    depth, found = 0, []
    for directive in DIRECTIVE.finditer(text):
        kind = directive.group(1)
        depth += kind.startswith("if") - (kind == "endif")
        if kind == "include":
            if depth:
                sys.exit(f"{name}: an #include inside #if cannot be taken out of the namespace: give this test a unit of its own")
            found.append(from_tests(tests, name, directive.group().strip()))
    return found


def main():
    tests, output, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    includes, bodies = [], []
    for name in names:
        with open(os.path.join(tests, name), encoding="utf-8") as file:
            text = file.read()
        includes += includes_of(tests, name, text)
        body = [f'#include "{name}"']
        if not re.search(r"^template <>", text, re.M):
            space = re.sub(r"\W", "_", name.removesuffix(".cpp"))
            body = [f"namespace {space} {{", *body, f"}}  // namespace {space}"]
        bodies += body
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join([*dict.fromkeys(includes), *bodies]) + "\n")


main()
