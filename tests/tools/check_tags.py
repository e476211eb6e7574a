#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tools that read C++ without compiling it see every definition: ctags has a tag for each class and function that a header defines.

    check_tags.py [ROOT]      one line for each definition without a tag, exit 1 if any; 77 (skipped) without universal-ctags
    check_tags.py --self-test

What a header defines is read here by its braces: what stands in front of a `{` in a namespace or a class.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*', re.S | re.M)
ATTRIBUTE = re.compile(r"\[\[.*?\]\]|\balignas\s*\([^)]*\)|\bnoexcept\s*\([^{}]*\)|\bdecltype\s*\([^{}]*\)", re.S)
TYPE = re.compile(r"(?:^|[\s>])(?:struct|class|union|enum(?:\s+(?:class|struct))?)\s+(?:\w+::)*([A-Za-z_]\w*)[^()=]*$")
FUNCTION = re.compile(r"(operator\s*(?:\(\s*\)|\[\s*\]|[^\s\w(]+|[A-Za-z_][\w:]*)|~?[A-Za-z_]\w*)\s*\((?!\s*\*)")
HIDDEN_BY = ("a macro in front of it, `requires a || b` without parentheses, or a result that is the first of several template "
             "parameters (write auto … -> R) hides it")


def blank(match):  # the same number of lines, so that positions stay
    return re.sub(r"[^\n]", " ", match.group())


def without_template_lists(text):
    """`template <…>` and its `requires` clauses hold parentheses and classes that are no definitions."""
    while True:
        start = re.search(r"\btemplate\s*<", text)
        if not start:
            return text
        depth, at = 1, start.end()
        while depth and at < len(text):
            depth += {"<": 1, ">": -1}.get(text[at], 0) if text[at - 1:at + 1] not in ("->", ">=", "<=") else 0
            at += 1
        text = text[:start.start()] + " " * 9 + text[at:]


def head_of(text):
    """('type' or 'function' or 'namespace', name) of what stands in front of a brace, or None."""
    text = ATTRIBUTE.sub(" ", without_template_lists(ATTRIBUTE.sub(" ", text)))
    if re.search(r"(?:^|\s)(?:namespace\b[\s\w:]*|extern\s*)$", text):
        return "namespace", None
    text = re.sub(r"^\s*requires\b(?:\s*\(.*?\)(?=\s*\w)|[^;{]*?>)(?=\s+[\w:])", " ", text, flags=re.S)
    found = TYPE.search(text)
    if found:
        return "type", found.group(1)
    found = FUNCTION.search(text)
    before = text[:found.start()] if found else ""
    if found and "=" not in before and found.group(1) not in ("if", "for", "while", "switch", "catch", "requires", "return"):
        return "function", re.sub(r"\s+", " ", re.sub(r"operator\s*([^\w\s])", r"operator \1", found.group(1)))
    return None


def definitions(text):
    """(line, name) of each class and function defined in a namespace or in a class."""
    text = NOISE.sub(blank, text)
    scopes, begin, found = [True], 0, []  # of each open brace: does it hold declarations?
    for at, letter in enumerate(text):
        if letter == "{":
            kind = head_of(text[begin:at]) if scopes[-1] else None
            if kind and kind[1]:
                found.append((text.count("\n", 0, at) + 1, kind[1]))
            scopes.append(bool(kind) and kind[0] != "function")
        elif letter == "}" and len(scopes) > 1:
            scopes.pop()
        if letter in "{};" or (letter == ":" and re.search(r"\b(?:public|private|protected)\s*$", text[begin:at])):
            begin = at + 1
    return found


def tags_of(ctags, root):
    run = subprocess.run([ctags, "-R", "--languages=C++", "--kinds-C++=+pxN", "-f", "-", "include"], cwd=root,
                         capture_output=True, text=True, check=True)
    tags = {}
    for line in run.stdout.splitlines():
        if not line.startswith("!"):
            name, path = line.split("\t")[:2]
            tags.setdefault(path, set()).add(name)
    return tags


def check(ctags, root):
    faults, count, tags = [], 0, tags_of(ctags, root)
    for where, _, names in sorted(os.walk(os.path.join(root, "include"))):
        for name in sorted(n for n in names if n.endswith(".hpp")):
            path = os.path.relpath(os.path.join(where, name), root)
            with open(os.path.join(root, path), encoding="utf-8") as file:
                for line, symbol in definitions(file.read()):
                    count += 1
                    if symbol not in tags.get(path, ()):
                        faults.append(f"{path}:{line}: ctags does not see {symbol}: {HIDDEN_BY}")
    return faults, count


def self_test(ctags):
    cases = [
        ("namespace a {\ninline namespace B {\nstruct one final : base<int> {\n  one() : x_{1} {}\n  int x_;\n};\n}\n}\n", 2, None),
        ("namespace a {\nenum class e : int { x };\ntemplate <class T = struct z> requires (sizeof(T) > 1)\nint f(T) noexcept(true) { return 0; }\n}\n",
         2, None),
        ("namespace a {\nint x = [] { return 1; }();\nint y{1};\nint g(int) { if (true) { return 1; } return 0; }\n}\n", 1, None),
        ("#define B with_it\nnamespace a::B::c {\nstruct one {};\nint f() { return 1; }\n}\n", 2, None),
        ("namespace a {\nstruct LIBRARY_API(1) one { int f() { return 1; } };\n}\n", 1, "does not see"),
        ("namespace a {\ntemplate <class A, class B> A f(B b) { return b; }\n}\n", 1, "include/one.hpp:2: ctags does not see f"),
        ("namespace a {\ntemplate <class A>\n  requires x<A> || y<A>\nvoid f(A) {}\n}\n", 1, "include/one.hpp:4: ctags does not see f"),
        ("template <> struct fmt::formatter<int> : base<int> {};\nstd::unique_ptr<int, void (*)(int*)> p{nullptr, f};\n", 1, None),
    ]
    failed = 0
    for text, expected_count, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "include"))
            with open(os.path.join(root, "include/one.hpp"), "w", encoding="utf-8") as file:
                file.write(text)
            faults, count = check(ctags, root)
        if count != expected_count or (not faults) != (expected is None) or not all(expected in f for f in faults):
            failed += 1
            print(f"expected {expected_count} definitions and {expected!r}, got {count} and {faults} for\n{text}")
    print(f"check_tags --self-test: {len(cases) - failed} of {len(cases)} cases as they should be")
    return failed != 0


def main():
    ctags = shutil.which("ctags-universal") or shutil.which("ctags")
    if ctags is None or "Universal Ctags" not in subprocess.run([ctags, "--version"], capture_output=True, text=True).stdout:
        print("skipped: there is no universal-ctags")
        sys.exit(77)
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test(ctags))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    faults, count = check(ctags, root)
    for fault in faults:
        print(fault)
    print(f"check_tags: {count} definitions, {len(faults)} without a tag")
    sys.exit(bool(faults))


main()
