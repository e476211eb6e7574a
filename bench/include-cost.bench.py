#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an #include costs whoever compiles: the compiler's CPU time for a file with nothing else in it, and the lines after
preprocessing. Interleaved rounds; -O2 -fsyntax-only."""
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))
from report import ROOT, Suite  # noqa: E402

suite = Suite("include-cost")

HEADERS = [  # shown as, text, in the quick form too
    ("<chrono>", "#include <chrono>", True),
    ("<coroutine> <expected>", "#include <coroutine>\n#include <expected>", False),
    ("again/policy/policy.hpp", "#include <again/policy/policy.hpp>", False),
    ("again/coro/task.hpp", "#include <again/coro/task.hpp>", False),
    ("again/retry.hpp", "#include <again/retry.hpp>", True),
    ("again/again.hpp", "#include <again/again.hpp>", True),
    ("<chrono> again/retry.hpp", "#include <chrono>\n#include <again/retry.hpp>", False),
    ("<chrono> again/again.hpp", "#include <chrono>\n#include <again/again.hpp>", False),
    ("again/http.hpp", "#include <again/http.hpp>", False),
    ("boost/asio/awaitable.hpp", "#include <utility>\n#include <boost/asio/awaitable.hpp>", True),
    ("boost/asio.hpp", "#include <utility>\n#include <boost/asio.hpp>", False),
    ("httplib.h", "#include <httplib.h>", False),
]


def httplib_flags():
    found = subprocess.run(["pkg-config", "--cflags", "cpp-httplib"], capture_output=True, text=True)
    return found.stdout.split() if found.returncode == 0 else []


# clang says nothing of coroutines to this Boost, which then leaves its own out.
BOOST_COROUTINES = ["-DBOOST_ASIO_HAS_CO_AWAIT", "-DBOOST_ASIO_HAS_STD_COROUTINE"] if "clang" in suite.compiler[-1] else []
COMMAND = suite.compiler + [suite.std, "-O2", "-I" + os.path.join(ROOT, "include"), "-x", "c++"] + BOOST_COROUTINES + httplib_flags()


def compile_once(text):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(COMMAND + ["-fsyntax-only", "-"], input=text, text=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) if done.returncode == 0 else None


def lines(text):
    return subprocess.run(COMMAND + ["-E", "-P", "-"], input=text, text=True, capture_output=True).stdout.count("\n")


GROUP = "compiling one #include"
chosen = [(name, text) for name, text, quick in HEADERS if suite.wanted(GROUP, name) and (quick or not suite.quick)]
times = {name: [] for name, _ in chosen}
for _ in range(3 if suite.quick else 7):
    for name, text in chosen:
        seconds = compile_once(text + "\n")
        if seconds is not None:
            times[name].append(seconds)
for name, text in chosen:
    if times[name]:
        suite.add(GROUP, name, {"s": [min(times[name])], "s_median": times[name], "lines": [lines(text + "\n")]})
suite.goal("again/retry.hpp / <chrono>", GROUP, "again/retry.hpp", "s", 1.25, "<chrono>")
suite.goal("again/again.hpp / boost/asio/awaitable.hpp", GROUP, "again/again.hpp", "s", 0.75, "boost/asio/awaitable.hpp")
suite.notes.append("Of <chrono>, again takes durations and clocks only where libstdc++ keeps them apart; the rows with <chrono> before it are a "
                   "file that wants all of that as well.")
suite.notes.append("s: the least CPU time of all rounds; lines: after preprocessing, without blank ones.")
suite.finish()
