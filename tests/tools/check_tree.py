#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the compiler cannot see: floors and circles of the includes, lists against files, house rules of each header.

    check_tree.py [ROOT]     prints one sentence per fault; exit 1 if there is any
    check_tree.py --self-test
"""
import os
import re
import sys
import tempfile

# A public header's floor (docs/design.md). A new header is a new word here: decide where it stands before writing it.
# detail/ headers have no floor of their own: they may be used by, and include, what their users may.
FLOORS = [
    "expected stop_reason clock random version",
    "backoff jitter policy verdict decide explain failure trace budget breaker latency",
    "awaitable context task sync_wait when_all when_any scope scheduler run_loop virtual_clock stop_token sleep "
    "this_context resume_on operation",
    "retry timeout adaptive_rate live_policy hedge fallback guard limit rate repeatable observe catching nested pipe resilient reconfigure chaos "
    "testing again",
    "http/message",  # and every other http/… that is not named below
    "http/httplib http/client http/redirect http/resolve http/curl format metrics delivery dead_letters delivery_log "
    "sink_options sink http",
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
HTTP_FLOOR = 4  # of every other header of http/
UMBRELLAS = {"again", "http"}  # nothing of their own to test

# include -> the headers that may have it (a path prefix below include/again); floors 0-3 are kept light for everyone.
EDGE_INCLUDES = {
    "httplib.h": ("http/httplib", "detail/http", "http/detail"),
    "fmt/": ("format", "detail/format", "metrics", "detail/metrics", "sink", "detail/sink"),
}
HEAVY = {"random", "iostream", "regex", "iomanip", "sstream", "fstream", "filesystem", "future"}
MAX_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files_below(root, folder, suffix):
    found = []
    for where, folders, names in os.walk(os.path.join(root, folder)):
        folders[:] = sorted(f for f in folders if f not in ("build", "subprojects", "__pycache__"))
        found += [os.path.relpath(os.path.join(where, n), root) for n in sorted(names) if n.endswith(suffix)]
    return found


def name_of(header):  # include/again/http/error.hpp -> http/error
    return header[len("include/again/"):-len(".hpp")]


def floor_of(name):
    return FLOOR.get(name, HTTP_FLOOR if name.startswith("http/") else None)


def is_detail(name):
    return "detail" in name.split("/")


def listed(root, build_file, pattern):
    path = os.path.join(root, build_file)
    if not os.path.exists(path):
        return []
    text = re.sub(r"^\s*#.*$", "", read(path), flags=re.M)
    return re.findall(pattern, text)


def compare_list(root, build_file, pattern, on_disk, what):
    faults = []
    names = listed(root, build_file, pattern)
    for name in sorted(set(on_disk) - set(names)):
        faults.append(f"{build_file}: {name} exists but is not in the list of {what}")
    for name in sorted(set(names) - set(on_disk)):
        faults.append(f"{build_file}: {name} is in the list of {what} but does not exist")
    for name in sorted({n for n in names if names.count(n) > 1}):
        faults.append(f"{build_file}: {name} is listed twice")
    return faults


def check_lists(root, headers):
    faults = compare_list(root, "include/meson.build", r"'(again/[^']+\.hpp)'",
                          [h[len("include/"):] for h in headers], "headers")
    tests = [t[len("tests/"):] for t in files_below(root, "tests", ".test.cpp")]
    own_list = [t for t in tests if os.path.basename(t) in  # a folder may have a list and a program of its own
                listed(root, os.path.join("tests", os.path.dirname(t), "meson.build"), r"'([^'/]+\.test\.cpp)'")
                and os.path.dirname(t)]
    faults += compare_list(root, "tests/meson.build", r"'([^']+\.test\.cpp)'",
                           [t for t in tests if t not in own_list], "tests")
    statics = [os.path.basename(t) for t in files_below(root, "tests/static", ".cpp")]
    faults += compare_list(root, "tests/static/meson.build", r"'([^'./]+\.cpp)'", statics, "static tests")
    examples = [os.path.relpath(e, "docs/examples") for e in files_below(root, "docs/examples", ".cpp")]
    faults += compare_list(root, "docs/examples/meson.build", r"'([^']+\.cpp)'", examples, "examples")
    for header in headers:
        name = name_of(header)
        if not is_detail(name) and name not in UMBRELLAS and name + ".test.cpp" not in tests:
            faults.append(f"{header}: has no tests/{name}.test.cpp")
    return faults


def check_header(header, text):
    faults = []
    lines = text.split("\n")
    if lines[0] != "// SPDX-License-Identifier: MIT":
        faults.append(f"{header}:1: the first line must be '// SPDX-License-Identifier: MIT'")
    if not re.search(r"^#pragma once$", text, re.M):
        faults.append(f"{header}: no '#pragma once'")
    if len(lines) - 1 > MAX_LINES:
        faults.append(f"{header}: {len(lines) - 1} lines; past {MAX_LINES} a header holds two ideas")
    if re.search(r"^\s*using\s+namespace\b", text, re.M):
        faults.append(f"{header}: 'using namespace' in a header")
    for quote, target in INCLUDE.findall(text):
        if quote == '"':
            faults.append(f'{header}: includes "{target}"; write <again/…>')
        for edge, allowed in EDGE_INCLUDES.items():
            if (target == edge or (edge.endswith("/") and target.startswith(edge))) and \
                    not name_of(header).startswith(allowed):
                faults.append(f"{header}: includes <{target}>, which only {', '.join(allowed)}… may")
    return faults


def check_floors(headers, texts):
    """Each public header, followed through detail/ headers, sees only lower floors or its own; and no circle."""
    faults = []
    graph = {name_of(h): [t[len("again/"):-len(".hpp")] for q, t in INCLUDE.findall(texts[h])
                          if t.startswith("again/") and t.endswith(".hpp")] for h in headers}
    plain = {name_of(h): [t for q, t in INCLUDE.findall(texts[h])] for h in headers}
    for name, targets in graph.items():
        for target in targets:
            if target not in graph:
                faults.append(f"include/again/{name}.hpp: includes <again/{target}.hpp>, which does not exist")
        if not is_detail(name) and floor_of(name) is None:
            faults.append(f"include/again/{name}.hpp: stands on no floor; name it in tests/tools/check_tree.py")

    for name in graph:
        floor = floor_of(name)
        if is_detail(name) or floor is None:
            continue
        seen, todo = set(), [(name, name)]
        while todo:
            at, path = todo.pop()
            if floor <= 3:
                for target in plain[at]:
                    if target in HEAVY:
                        faults.append(f"include/again/{at}.hpp: <{target}> is too heavy for floor {floor} ({path})")
            for target in graph[at]:
                if target in seen or target not in graph:
                    continue
                seen.add(target)
                step = f"{path} -> {target}"
                if is_detail(target):
                    todo.append((target, step))
                elif (floor_of(target) or 0) > floor:
                    faults.append(f"include/again/{name}.hpp: floor {floor} includes floor {floor_of(target)}: {step}")

    # A detail header included after a header's last declaration is that header's own second half, and may need the first.
    halves = {name_of(h): [t[len("again/"):-len(".hpp")] for q, t in INCLUDE.findall(texts[h].rpartition("}  // namespace")[2])]
              for h in headers if "}  // namespace" in texts[h]}
    state = {}

    def visit(name, path):
        state[name] = "open"
        for target in graph.get(name, []):
            if is_detail(target) and target in halves.get(name, []):
                continue
            if state.get(target) == "open":
                circle = path[path.index(target):] + [target]
                faults.append("circle of includes: " + " -> ".join(circle))
            elif target not in state:
                visit(target, path + [target])
        state[name] = "done"

    for name in sorted(graph):
        if name not in state:
            visit(name, [name])
    users = {t for targets in graph.values() for t in targets}
    for name in sorted(graph):
        if is_detail(name) and name not in users:
            faults.append(f"include/again/{name}.hpp: no header includes it")
    return faults


def check_sources(root):
    faults = []
    for folder in ("tests", "docs/examples", "bench"):
        for suffix in (".cpp", ".hpp"):
            for path in files_below(root, folder, suffix):
                if not read(os.path.join(root, path)).startswith("// SPDX-License-Identifier: MIT\n"):
                    faults.append(f"{path}:1: the first line must be '// SPDX-License-Identifier: MIT'")
    return faults


def check(root):
    headers = files_below(root, "include/again", ".hpp")
    texts = {h: read(os.path.join(root, h)) for h in headers}
    faults = check_lists(root, headers) + check_floors(headers, texts) + check_sources(root)
    for header in headers:
        faults += check_header(header, texts[header])
    return faults, len(headers)


def self_test():
    """Each rule catches the fault it is there for, and a clean tree passes."""
    head = "// SPDX-License-Identifier: MIT\n#pragma once\n"
    clean = {
        "include/meson.build": "core_headers = [\n  'again/clock.hpp',\n  'again/retry.hpp',\n  'again/detail/loop.hpp',\n]\n",
        "tests/meson.build": "core_tests = [\n  'clock.test.cpp',\n  'retry.test.cpp',\n]\n",
        "include/again/clock.hpp": head,
        "include/again/retry.hpp": head + "#include <again/detail/loop.hpp>\n",
        "include/again/detail/loop.hpp": head + "#include <again/clock.hpp>\n",
        "tests/clock.test.cpp": head,
        "tests/retry.test.cpp": head,
    }
    cases = [
        ({}, None),
        ({"include/again/task.hpp": head}, "task.hpp exists but is not in the list of headers"),
        ({"include/again/retry.hpp": None}, "again/retry.hpp is in the list of headers but does not exist"),
        ({"tests/clock.test.cpp": None, "tests/meson.build": "x = ['retry.test.cpp']"}, "has no tests/clock.test.cpp"),
        ({"tests/more.test.cpp": head}, "more.test.cpp exists but is not in the list of tests"),
        ({"include/again/clock.hpp": head + "#include <again/detail/loop.hpp>\n"}, "circle of includes: "),
        ({"include/again/retry.hpp": head + "namespace again {\n}  // namespace again\n#include <again/detail/loop.hpp>\n",
          "include/again/detail/loop.hpp": head + "#include <again/retry.hpp>\n"}, None),
        ({"include/again/detail/loop.hpp": head + "#include <again/http/error.hpp>\n",
          "include/again/http/error.hpp": head}, "retry.hpp: floor 3 includes floor 4: retry -> detail/loop -> http/error"),
        ({"include/again/detail/loop.hpp": head + "#include <random>\n"}, "<random> is too heavy"),
        ({"include/again/clock.hpp": head + "#include <httplib.h>\n"}, "includes <httplib.h>, which only"),
        ({"include/again/clock.hpp": head + "#include <fmt/core.h>\n"}, "includes <fmt/core.h>, which only"),
        ({"include/again/clock.hpp": head + '#include "again/x.hpp"\n'}, 'write <again/'),
        ({"include/again/clock.hpp": head + "\n" * 399}, "past 400 a header holds two ideas"),
        ({"include/again/clock.hpp": "#pragma once\n"}, "the first line must be"),
        ({"include/again/clock.hpp": "// SPDX-License-Identifier: MIT\n"}, "no '#pragma once'"),
        ({"include/again/clock.hpp": head + "#include <again/nowhere.hpp>\n"}, "which does not exist"),
        ({"include/again/whim.hpp": head}, "stands on no floor"),
        ({"include/again/detail/idle.hpp": head}, "no header includes it"),
    ]
    failed = 0
    for changes, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**clean, **changes}.items():
                if text is not None:
                    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                        file.write(text)
            faults, _ = check(root)
        good = not faults if expected is None else any(expected in f for f in faults)
        if not good:
            failed += 1
            print(f"expected {expected!r}, got {faults}")
    print(f"check_tree --self-test: {len(cases) - failed} of {len(cases)} rules hold")
    return failed != 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    faults, count = check(root)
    for fault in faults:
        print(fault)
    print(f"check_tree: {count} headers, {len(faults)} faults")
    sys.exit(bool(faults))


main()
