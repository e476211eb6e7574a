#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""README and docs show only code that is compiled, output that was printed, and links that lead somewhere.

    check_docs.py [ROOT]      exit 1 if there is any fault
    check_docs.py --self-test

- A ```cpp block must stand line by line (indentation and blank lines aside) in a .cpp of docs/examples, which the build
  compiles, or in a public header. `…` alone on a line (or in a comment) skips lines. A fragment that shows what not to
  write is preceded by the line <!-- not compiled -->.
- A ```text block preceded by <!-- output: NAME --> must stand in docs/examples/NAME, which a test compares with what the
  program prints.
- A link to a file of the repository must name one that exists, and a link to a heading one that is there.
- A link whose text is code, such as [`retry_machine::drive`](machine.hpp), names something that stands in that file.
- Prose is wrapped at 120 columns. Tables and code may be longer.
"""
import os
import re
import sys
import tempfile

FENCE = re.compile(r"^(\s*)(```+|~~~+)\s*([\w+-]*)")
ELLIPSIS = re.compile(r"^(//\s*)?(…|\.\.\.)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
NAME_IN_FILE = re.compile(r"\[`([A-Za-z_]\w*(?:::\w+)*)`\]\(([^)\s#]+\.[ch]pp)\)")
WIDTH = 120


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def pages(root):
    found = [p for p in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md") if os.path.exists(os.path.join(root, p))]
    for folder in ("docs", ".github"):
        for where, _, names in os.walk(os.path.join(root, folder)):
            found += [os.path.relpath(os.path.join(where, n), root) for n in sorted(names) if n.endswith(".md")]
    return found


def without_code(text):
    """The prose: fenced blocks are gone, their lines are kept, so that numbers of lines stay right."""
    return re.sub(r"^(```+|~~~+).*?^\1", lambda block: "\n" * block.group(0).count("\n"), text, flags=re.M | re.S)


def anchors(text):
    """What a link to a heading may say, as GitHub makes it."""
    found = set()
    for heading in re.findall(r"^#+\s+(.*?)\s*$", without_code(text), flags=re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain)))
    return found


def check_links(root, page, text):
    faults = []
    prose = without_code(text)
    for name, target in NAME_IN_FILE.findall(prose):
        file = os.path.join(root, os.path.dirname(page), target)
        if os.path.exists(file):
            source = read(file)
            if not all(re.search(rf"\b{part}\b", source) for part in name.split("::")):
                faults.append(f"{page}: {name} is not in {target}")
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose)):
        target, _, heading = (link[0] or link[1]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = os.path.join(root, os.path.dirname(page), target) if target else os.path.join(root, page)
        if not os.path.exists(file):
            faults.append(f"{page}: the link to {target} leads nowhere")
        elif heading and file.endswith(".md") and heading not in anchors(read(file)):
            faults.append(f"{page}: {target or 'this page'} has no heading #{heading}")
    return faults


def check_width(page, text):
    return [f"{page}:{number}: {len(line)} columns; wrap prose at {WIDTH}"
            for number, line in enumerate(without_code(text).split("\n"), 1)
            if len(line) > WIDTH and not line.lstrip().startswith(("|", "![", "<!--"))]


def blocks(text):
    """(line number, language, preceding comment, lines) of each fenced block."""
    result, comment, opened = [], "", None
    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE.match(line)
        if opened:
            if fence and line.strip().startswith(opened[0]) and not fence.group(3):
                result.append((opened[1], opened[2], opened[3], opened[4]))
                opened, comment = None, ""
            else:
                opened[4].append(line)
        elif fence:
            opened = (fence.group(2), number, fence.group(3), comment, [])
        elif line.strip():
            comment = line.strip()
    return result


def squeeze(lines):
    return [" ".join(line.split()) for line in lines if line.strip()]


def stands_in(wanted, lines):
    """The pieces between ellipses appear in `lines` in this order, each as neighbouring lines."""
    pieces, piece = [], []
    for line in wanted + ["…"]:
        if ELLIPSIS.match(line):
            if piece:
                pieces.append(piece)
            piece = []
        else:
            piece.append(line)
    at = 0
    for piece in pieces:
        at = next((i + len(piece) for i in range(at, len(lines) - len(piece) + 1) if lines[i:i + len(piece)] == piece), None)
        if at is None:
            return False
    return bool(pieces)


def compiled_files(root):
    """The sources a ```cpp block may come from: what docs/examples/meson.build lists, and the public headers."""
    build_file = os.path.join(root, "docs/examples/meson.build")
    text = re.sub(r"^\s*#.*$", "", read(build_file), flags=re.M) if os.path.exists(build_file) else ""
    found = [os.path.join("docs/examples", name) for name in re.findall(r"'([^']+\.cpp)'", text)]
    for where, _, names in os.walk(os.path.join(root, "include")):
        if "detail" not in where.split(os.sep):
            found += [os.path.relpath(os.path.join(where, n), root) for n in names if n.endswith(".hpp")]
    return [f for f in found if os.path.exists(os.path.join(root, f))]


def check(root):
    faults, counted = [], 0
    sources = {f: squeeze(read(os.path.join(root, f)).split("\n")) for f in compiled_files(root)}
    for page in pages(root):
        text = read(os.path.join(root, page))
        for number, language, comment, lines in blocks(text):
            output = re.match(r"<!-- output: (\S+) -->", comment)
            if output:
                counted += 1
                file = os.path.join(root, "docs/examples", output.group(1))
                if not os.path.exists(file):
                    faults.append(f"{page}:{number}: docs/examples/{output.group(1)} does not exist")
                elif not stands_in(squeeze(lines), squeeze(read(file).split("\n"))):
                    faults.append(f"{page}:{number}: this output is not in docs/examples/{output.group(1)}")
            if language in ("cpp", "c++", "cxx") and comment != "<!-- not compiled -->":
                counted += 1
                wanted = squeeze(lines)
                if not any(stands_in(wanted, source) for source in sources.values()):
                    faults.append(f"{page}:{number}: this code is in no compiled file of docs/examples")
        faults += check_links(root, page, text) + check_width(page, text)
    return faults, counted


def self_test():
    clean = {
        "docs/examples/meson.build": "executable('quote', 'quote.cpp')\n",
        "docs/examples/quote.cpp": "int main() {\n  int a = 1;\n\n  int b = 2;\n  return a + b;\n}\n",
        "docs/examples/stray.cpp": "int stray();\n",
        "docs/examples/quote.out": "one\ntwo\nthree\n",
    }
    cases = [
        ("```cpp\n    int a = 1;\n    int b = 2;\n```\n", None),
        ("```cpp\nint main() {\n// …\nreturn a + b;\n}\n```\n", None),
        ("```cpp\nint b = 2;\n…\nint a = 1;\n```\n", "in no compiled file"),
        ("```cpp\nint a = 2;\n```\n", "README.md:1: this code is in no compiled file"),
        ("```cpp\nint stray();\n```\n", "in no compiled file"),
        ("<!-- not compiled -->\n```cpp\nint a = 2;\n```\n", None),
        ("<!-- not compiled -->\nand text\n```cpp\nint a = 2;\n```\n", "in no compiled file"),
        ("```cpp\n```\n", "in no compiled file"),
        ("```sh\nls\n```\n", None),
        ("<!-- output: quote.out -->\n```text\none\ntwo\n```\n", None),
        ("<!-- output: quote.out -->\n```text\none\nthree\n```\n", "this output is not in"),
        ("<!-- output: none.out -->\n```text\none\n```\n", "does not exist"),
        ("[here](docs/examples/quote.cpp) [there](https://example.org/) [below](#below)\n# Below\n", None),
        ("[here](docs/nowhere.md)\n", "the link to docs/nowhere.md leads nowhere"),
        ("```sh\n[here](docs/nowhere.md)\n```\n", None),
        ("## The `x`, and y\n[up](#the-x-and-y) [there](README.md#the-x-and-y)\n", None),
        ("## The x\n[up](#the-y)\n", "README.md: this page has no heading #the-y"),
        ("```sh\n# the y\n```\n[up](#the-y)\n", "has no heading #the-y"),
        ("[`quote::main`](docs/examples/stray.cpp)\n", "quote::main is not in docs/examples/stray.cpp"),
        ("[`main`](docs/examples/quote.cpp)\n", None),
        ("word " * 24 + "\n", None),
        ("word " * 24 + "more\n", "README.md:1: 124 columns; wrap prose at 120"),
        ("| " + "word " * 30 + "|\n```sh\n" + "word " * 30 + "\n```\n", None),
    ]
    failed = 0
    for text, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "docs/examples"))
            for path, content in {**clean, "README.md": text}.items():
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(content)
            faults, _ = check(root)
        if (not faults) != (expected is None) or (expected and not any(expected in f for f in faults)):
            failed += 1
            print(f"expected {expected!r}, got {faults} for\n{text}")
    print(f"check_docs --self-test: {len(cases) - failed} of {len(cases)} cases as they should be")
    return failed != 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    faults, counted = check(root)
    for fault in faults:
        print(fault)
    print(f"check_docs: {counted} blocks of code and output, {len(faults)} faults")
    sys.exit(bool(faults))


main()
