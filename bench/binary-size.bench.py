#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Code size of one more `retry`, beside one more loop by hand: the growth of .text from one instantiation to nine, over eight.
Both retry an operation of their own type that is a coroutine too; what a bare await of it costs is taken off both."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))
from report import ROOT, Suite  # noqa: E402

suite = Suite("binary-size")

COMMON = """
#include <again/retry.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
using namespace std::chrono_literals;
struct error {
  int code;
  again::verdict verdict() const noexcept {
    return {.kind = code < 500 ? again::disposition::permanent : again::disposition::transient, .reach = again::reach::answered, .code = code};
  }
};
using result = again::expected<int, error>;
template <int I> again::task<result> attempt(int x) {
  if (x > I) co_return again::unexpected<error>{error{500 + I}};
  co_return result{x};
}
constexpr auto bounded = again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .attempt_timeout = 1s, .deadline = 5s});
constexpr auto plain = again::checked({.attempts = 4, .backoff = again::constant(0ns), .jitter = again::jitter::none,
                                       .attempt_timeout = again::forever, .deadline = again::forever});
"""
VARIANTS = {
    "bare await": """
template <int I> again::task<int> one(int x) {
  auto r = co_await attempt<I>(x);
  co_return r ? *r : -1;
}""",
    "loop by hand": """
template <int I> again::task<int> one(int x) {
  for (int i = 1;; ++i) {
    auto r = co_await attempt<I>(x);
    if (r) co_return *r;
    if (i == 4 || r.error().verdict().kind != again::disposition::transient) co_return -1;
  }
}""",
    # What a policy with backoff, jitter, timeouts and a deadline does, by hand.
    "loop by hand with waits and a deadline": """
#include <again/core/random.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/this_context.hpp>
template <int I> again::task<int> one(int x) {
  const auto start = std::chrono::steady_clock::now();
  again::random_stream random{again::fresh_seed()};
  auto wait = 100ms;
  for (int i = 1;; ++i) {
    auto r = co_await attempt<I>(x);
    if (r) co_return *r;
    if (i == 4 || r.error().verdict().kind != again::disposition::transient) co_return -1;
    const auto jittered = again::saturating_scale(wait, random.draw());
    if (std::chrono::steady_clock::now() + jittered > start + 5s) co_return -1;
    const bool slept = co_await again::sleep_for(jittered);
    if (!slept) co_return -1;
    wait = std::min(2 * wait, std::chrono::milliseconds{2s});
  }
}""",
    "again::retry": """
template <int I> again::task<int> one(int x) {
  auto r = co_await again::retry(bounded, [&] { return attempt<I>(x); });
  co_return r ? *r : -1;
}""",
    "again::retry, plain policy": """
template <int I> again::task<int> one(int x) {
  auto r = co_await again::retry(plain, [&] { return attempt<I>(x); });
  co_return r ? *r : -1;
}""",
}


def text_size(folder, variant, count):
    source = os.path.join(folder, "one.cpp")
    calls = "\n".join(f"int call_{i}(int x) {{ return again::sync_wait(one<{i}>(x)); }}" for i in range(count))
    with open(source, "w", encoding="utf-8") as file:
        file.write(COMMON + "#include <algorithm>\n" + variant + "\n" + calls + "\n")
    built = subprocess.run(suite.compiler + [suite.std, "-O2", "-DNDEBUG", "-I" + os.path.join(ROOT, "include"), "-c", source,
                                             "-o", source + ".o"], capture_output=True, text=True)
    if built.returncode != 0:
        sys.exit("binary-size: does not compile:\n" + built.stderr[:2000])
    table = subprocess.run(["size", "-A", source + ".o"], capture_output=True, text=True, check=True).stdout
    return sum(int(l.split()[1]) for l in table.split("\n") if l.startswith((".text", ".gcc_except")))


MORE = 2 if suite.quick else 8
QUICK = ("bare await", "loop by hand", "again::retry")
GROUP = ".text of one more, bytes"
per_one = {}
with tempfile.TemporaryDirectory() as folder:
    for who, variant in VARIANTS.items():
        if (suite.wanted(GROUP, who) or who == "bare await") and (who in QUICK or not suite.quick):
            per_one[who] = (text_size(folder, variant, 1 + MORE) - text_size(folder, variant, 1)) / MORE
for who, size in per_one.items():
    suite.add(GROUP, who, {"bytes": [size], "more_than_bare": [size - per_one["bare await"]]})
suite.goal("again::retry / loop by hand", GROUP, "again::retry", "bytes", 2, "loop by hand")
suite.goal("again::retry / loop by hand that does the same", GROUP, "again::retry", "bytes", 2, "loop by hand with waits and a deadline")
suite.notes.append("Code and unwinding tables of the operation, of what awaits it and of a sync_wait are in each figure.")
suite.finish()
