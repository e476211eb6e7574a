#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the compiler cannot see: the order of the folders, circles of includes, lists against files, house rules of each header.

    check_tree.py [ROOT]     prints one sentence per fault: the rule that is broken and where the code belongs; exit 1 if any
    check_tree.py --self-test

The rules are those of docs/architecture.md. They follow from the folders: a new header needs no new line here, only a new
folder does.
"""
import os
import re
import sys
import tempfile

# folder -> the folders below it that it may include. "core<policy<coro<combinator<retry<protection" is one line of descent; the
# others join what they name.
LINE = ["core", "policy", "coro", "combinator", "retry", "protection"]
SEES = {folder: set(LINE[:place]) for place, folder in enumerate(LINE)}
SEES["testing"] = set(LINE)
SEES["http"] = {"core", "policy", "coro"}  # never retry: an error knows what is worth another attempt, not who attempts
SEES["net"] = SEES["http"] | {"http"}
SEES["httplib"] = SEES["net"] | {"net"}
SEES["beast"] = set(LINE) | {"http", "net", "asio"}
SEES["metrics"] = set(LINE)
SEES["sink"] = set(LINE) | {"http", "httplib", "metrics"}
SEES["webhook"] = SEES["http"] | {"http"}
SEES["cloudevents"] = SEES["http"] | {"http"}
SEES["journal"] = set(LINE) | {"http", "metrics", "sink"}  # the sink knows no store
SEES["sqlite"] = SEES["journal"] | {"journal"}
SEES["nats"] = SEES["journal"] | {"journal"}
SEES["format"] = set(LINE) | {"http"}
SEES["asio"] = set(LINE)
SEES["execution"] = set(LINE)
SEES["folly"] = set(LINE)
SEES["io_awaitable"] = set(LINE)
LIGHT = set(LINE) | {"testing", "metrics"}  # what again.hpp brings is kept light for everyone

# X/detail/ is used by X alone. The exceptions, each with its reason:
SHARED_DETAIL = {
    "core/detail/": "the replacements of the standard library's parts are for every folder",
    "coro/detail/awaiters": "the operator co_await of every startable returns one of them",
    "coro/detail/attempt": "every combinator holds one start of its operation in it",
    "coro/detail/stoppable_wait": "there is one way to wait for a time, a stop or a call, whatever waits",
    "coro/detail/unnamed_closure": "every combinator stores its operation by it, so that a task can warn for g++ 12",
    "coro/detail/misused": "every function that tells a misuse in one sentence returns it",
    "coro/detail/not_awaited": "every operation tells a forgotten co_await by it",
    "coro/detail/run_on": "what `.on(scheduler)` of a combinator returns",
    "coro/detail/bounded_operation": "`.stop(token)` and `.within(duration)` of every combinator and send",
    "coro/detail/await_bounds": "the same of what cannot be moved: a delivery that was handed in",
    "coro/detail/blocking_wait": "every blocking wait refuses to stop the default loop",
    "coro/detail/placing": "how a combinator is started that was given a scheduler or a stop token",
    "coro/detail/inherited_context": "an edge that resumes a foreign coroutine on our loop gives it the context of the await",
    "coro/detail/call_body": "an edge runs an operation or an awaitable once",
    "coro/detail/run_followed": "an edge stops what it runs by its library's token",
    "coro/detail/foreign_awaitable": "an edge starts whatever a coroutine can await",
    "coro/detail/promise_allocation": "a block that is made for each await comes from the recycled frames",
    "coro/detail/frame_cache": "the same for an allocator",
    "http/detail/chars": "what stands on HTTP reads bytes by the grammar that http/ has",
    "net/detail/": "what all transports over sockets of ours share",
    "asio/detail/executor_scheduler": "a transport on Asio's loop runs in the turns of its scheduler",
}

# include -> the folders that may have it: a dependency stands at the edge.
EDGE_INCLUDES = {
    "httplib.h": {"httplib"},
    "fmt/": {"format"},
    "openssl/": {"net", "httplib", "beast", "webhook"},
    "sqlite3.h": {"sqlite"},
    "nats/nats.h": {"nats"},
    "asio.hpp": {"asio"},
    "asio/": {"asio"},
    "boost/asio/": {"asio", "beast"},
    "boost/system/": {"asio", "beast"},
    "boost/beast/": {"beast"},
    "stdexec/": {"execution"},
    "exec/": {"execution"},
    "folly/": {"folly"},
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


def folder_of(name):  # http/detail/chars -> http; a face has none
    return name.split("/")[0] if "/" in name else ""


def is_detail(name):
    return "detail" in name.split("/")


def is_face(name):
    return "/" not in name


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
    """Every header and test is in the list of its own folder's meson.build."""
    faults = []
    on_disk = {h[len("include/"):] for h in headers}
    folders = {os.path.dirname(h).replace("/detail", "") for h in headers}
    folders |= {os.path.dirname(b) for b in files_below(root, "include/again", "meson.build")}
    for folder in sorted(folders):
        here = [h for h in on_disk if os.path.dirname("include/" + h).replace("/detail", "") == folder]
        faults += compare_list(root, folder + "/meson.build", r"'(again/[^']+\.hpp)'", here, "headers")
    tests = [t[len("tests/"):] for t in files_below(root, "tests", ".test.cpp")]
    build_files = [b for b in files_below(root, "tests", "meson.build")]
    in_lists = {}
    for build_file in build_files:
        for name in listed(root, build_file, r"'([^']+\.test\.cpp)'"):
            whole = name if "/" in name else os.path.join(os.path.relpath(os.path.dirname(build_file), "tests"), name)
            in_lists.setdefault(whole, []).append(build_file)
    for test in tests:
        if test not in in_lists:
            folder = os.path.dirname(test).replace("/detail", "")
            faults.append(f"tests/{folder}/meson.build: {test} exists but is not in the list of tests".replace("//", "/"))
    for test, where in sorted(in_lists.items()):
        if test not in tests:
            faults.append(f"{where[0]}: {test} is in the list of tests but does not exist")
        if len(where) > 1:
            faults.append(f"{where[0]}: {test} is listed twice")
    statics = [os.path.basename(t) for t in files_below(root, "tests/static", ".cpp")]
    faults += compare_list(root, "tests/static/meson.build", r"'([^'./]+\.cpp)'", statics, "static tests")
    examples = [os.path.relpath(e, "docs/examples") for e in files_below(root, "docs/examples", ".cpp")]
    faults += compare_list(root, "docs/examples/meson.build", r"'([^']+\.cpp)'", examples, "examples")
    for header in headers:
        name = name_of(header)
        if not is_detail(name) and not is_face(name) and name + ".test.cpp" not in tests:
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
                    folder_of(name_of(header)) not in allowed:
                faults.append(f"{header}: includes <{target}>, which only {', '.join(sorted(allowed))}/ may: a dependency stands "
                              f"at the edge; move what needs it there")
    includes = INCLUDE.findall(text)
    if "AGAIN_ABI {" in text and not (includes and includes[0][1].startswith("again/")):
        faults.append(f"{header}: the first include must be one of ours: it brings core/detail/compiler.hpp before all else, and AGAIN_ABI")
    if is_face(name_of(header)):
        for number, line in enumerate(lines, 1):
            if line and not line.startswith(("//", "#include <again/", "#pragma once")):
                faults.append(f"{header}:{number}: a face holds includes only; move the rest into a folder")
                break
    return faults


def check_order(headers, texts):
    """The includes follow the order of the folders, and there is no circle."""
    faults = []
    graph = {name_of(h): [t[len("again/"):-len(".hpp")] for q, t in INCLUDE.findall(texts[h])
                          if t.startswith("again/") and t.endswith(".hpp")] for h in headers}
    for name, targets in sorted(graph.items()):
        header, folder = f"include/again/{name}.hpp", folder_of(name)
        if folder and folder not in SEES:
            faults.append(f"{header}: the folder {folder}/ has no place in the order; give it one in SEES of tests/tools/check_tree.py")
            continue
        if folder in LIGHT:
            for _, target in INCLUDE.findall(texts[header]):
                if target in HEAVY:
                    faults.append(f"{header}: <{target}> is too heavy for {folder}/, which again.hpp brings to everyone")
        for target in targets:
            other = folder_of(target)
            if target not in graph:
                faults.append(f"{header}: includes <again/{target}.hpp>, which does not exist")
            elif not folder:
                pass  # a face may include anything
            elif is_face(target):
                faults.append(f"{header}: includes the face <again/{target}.hpp>; faces are for users: include what stands in {target}/")
            elif other != folder and other not in SEES[folder]:
                users = [f for f in SEES if {folder, other} <= SEES[f]]
                up = f"what needs both belongs to {', '.join(users)}/" if users else "nothing may see both"
                faults.append(f"{header}: {folder}/ may not see {other}/ (it includes <again/{target}.hpp>): {up}")
            elif is_detail(target) and other != folder and not target.startswith(tuple(SHARED_DETAIL)):
                faults.append(f"{header}: <again/{target}.hpp> is for {other}/ alone; move what both need out of {other}/detail/, "
                              f"or name it with a reason in SHARED_DETAIL of tests/tools/check_tree.py")
    state = {}

    def visit(name, path):
        state[name] = "open"
        for target in graph.get(name, []):
            if state.get(target) == "open":
                circle = path[path.index(target):] + [target]
                faults.append("circle of includes: " + " -> ".join(circle) + ": move what both need into a header below them")
            elif target not in state:
                visit(target, path + [target])
        state[name] = "done"

    for name in sorted(graph):
        if name not in state:
            visit(name, [name])
    users = {t for targets in graph.values() for t in targets}
    for name in sorted(graph):
        if is_detail(name) and name not in users:
            faults.append(f"include/again/{name}.hpp: no header includes it; delete it")
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
    faults = check_lists(root, headers) + check_order(headers, texts) + check_sources(root)
    for header in headers:
        faults += check_header(header, texts[header])
    return faults, len(headers)


def self_test():
    """Each rule catches the fault it is there for, and a clean tree passes."""
    head = "// SPDX-License-Identifier: MIT\n#pragma once\n"
    clean = {
        "include/again/meson.build": "core_headers = [\n  'again/retry.hpp',\n]\n",
        "include/again/core/meson.build": "core_headers += [\n  'again/core/clock.hpp',\n]\n",
        "include/again/coro/meson.build": "core_headers += [\n  'again/coro/task.hpp',\n  'again/coro/detail/promise.hpp',\n]\n",
        "include/again/retry/meson.build": "core_headers += [\n  'again/retry/retry.hpp',\n]\n",
        "include/again/http/meson.build": "http_headers += [\n  'again/http/error.hpp',\n]\n",
        "tests/core/meson.build": "core_tests += [\n  'core/clock.test.cpp',\n]\n",
        "tests/coro/meson.build": "core_tests += [\n  'coro/task.test.cpp',\n]\n",
        "tests/retry/meson.build": "core_tests += [\n  'retry/retry.test.cpp',\n]\n",
        "tests/http/meson.build": "http_tests += [\n  'http/error.test.cpp',\n]\n",
        "include/again/retry.hpp": head + "#include <again/retry/retry.hpp>\n",
        "include/again/core/clock.hpp": head,
        "include/again/coro/task.hpp": head + "#include <again/coro/detail/promise.hpp>\n",
        "include/again/coro/detail/promise.hpp": head + "#include <again/core/clock.hpp>\n",
        "include/again/retry/retry.hpp": head + "#include <again/coro/task.hpp>\n",
        "include/again/http/error.hpp": head + "#include <again/core/clock.hpp>\n",
        "tests/core/clock.test.cpp": head,
        "tests/coro/task.test.cpp": head,
        "tests/retry/retry.test.cpp": head,
        "tests/http/error.test.cpp": head,
    }
    cases = [
        ({}, None),
        ({"include/again/coro/sleep.hpp": head}, "sleep.hpp exists but is not in the list of headers"),
        ({"include/again/retry/retry.hpp": None, "include/again/retry.hpp": None}, "again/retry/retry.hpp is in the list of headers but does not exist"),
        ({"tests/core/clock.test.cpp": None, "tests/core/meson.build": ""}, "has no tests/core/clock.test.cpp"),
        ({"tests/core/more.test.cpp": head}, "tests/core/meson.build: core/more.test.cpp exists but is not in the list of tests"),
        ({"tests/core/meson.build": "x = ['core/clock.test.cpp', 'core/gone.test.cpp']"}, "core/gone.test.cpp is in the list of tests but"),
        # The order of the folders: upwards, sideways, and through the back door of a face.
        ({"include/again/core/clock.hpp": head + "#include <again/coro/task.hpp>\n"}, "core/ may not see coro/"),
        ({"include/again/coro/task.hpp": head + "#include <again/coro/detail/promise.hpp>\n#include <again/retry/retry.hpp>\n"},
         "coro/ may not see retry/ (it includes <again/retry/retry.hpp>): what needs both belongs to protection"),
        ({"include/again/http/error.hpp": head + "#include <again/retry/retry.hpp>\n"}, "http/ may not see retry/"),
        ({"include/again/retry/retry.hpp": head + "#include <again/http/error.hpp>\n"}, "retry/ may not see http/"),
        ({"include/again/coro/task.hpp": head + "#include <again/coro/detail/promise.hpp>\n#include <again/retry.hpp>\n"},
         "includes the face <again/retry.hpp>"),
        ({"include/again/retry.hpp": head + "#include <again/retry/retry.hpp>\nint x;\n"}, "again/retry.hpp:4: a face holds includes only"),
        ({"include/again/retry/retry.hpp": head + "#include <again/coro/detail/promise.hpp>\n"}, "is for coro/ alone"),
        ({"include/again/core/clock.hpp": head + "#include <again/coro/task.hpp>\n"},
         "circle of includes: core/clock -> coro/task -> coro/detail/promise -> core/clock"),
        ({"include/again/coro/detail/promise.hpp": head + "#include <again/coro/task.hpp>\n"}, "circle of includes: coro/detail/promise"),
        ({"include/again/coro/detail/promise.hpp": head + "}  // namespace again\n#include <again/coro/task.hpp>\n"}, "circle of includes: "),
        ({"include/again/coro/task.hpp": head + "#include <random>\n#include <again/coro/detail/promise.hpp>\n"}, "<random> is too heavy"),
        ({"include/again/http/error.hpp": head + "#include <httplib.h>\n"}, "includes <httplib.h>, which only httplib/ may"),
        ({"include/again/core/clock.hpp": head + "#include <fmt/core.h>\n"}, "includes <fmt/core.h>, which only format/ may"),
        ({"include/again/core/clock.hpp": head + '#include "again/x.hpp"\n'}, 'write <again/'),
        ({"include/again/core/clock.hpp": head + "\n" * 399}, "past 400 a header holds two ideas"),
        ({"include/again/core/clock.hpp": "#pragma once\n"}, "the first line must be"),
        ({"include/again/core/clock.hpp": "// SPDX-License-Identifier: MIT\n"}, "no '#pragma once'"),
        ({"include/again/coro/task.hpp": head + "#include <again/coro/detail/promise.hpp>\ninline namespace AGAIN_ABI {}\n"}, None),
        ({"include/again/core/clock.hpp": head + "#include <chrono>\ninline namespace AGAIN_ABI {}\n"}, "the first include must be one of ours"),
        ({"include/again/core/clock.hpp": head + "#include <again/core/nowhere.hpp>\n"}, "which does not exist"),
        ({"include/again/whim/whim.hpp": head}, "the folder whim/ has no place in the order"),
        ({"include/again/core/detail/idle.hpp": head}, "no header includes it"),
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
