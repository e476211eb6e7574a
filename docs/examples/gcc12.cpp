// SPDX-License-Identifier: MIT
// The spellings of docs/gcc12.md that every supported compiler gets right. Built and run in all configurations, ASan included.
#include <again/again.hpp>
#include <again/format.hpp>
#include <again/http/message.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
using namespace std::chrono_literals;

namespace http = again::http;
using text = again::expected<std::string, http::invalid>;

constexpr auto quick = again::checked({.attempts = 2, .backoff = again::constant(1ms)});

// A transport for this page: gives the request back as text, the first time with an error.
struct echo {
  int calls = 0;
  again::task<text> send(http::request r) {
    (void)co_await again::sleep_for(1ms);
    if (calls++ == 0) co_return again::unexpected<http::invalid>{http::invalid{"not yet"}};
    co_return fmt::format("{}, headers: {}", r, r.headers().size());
  }
};

// ── a class with constructors may be written in place ──
again::task<> in_place(echo& e) {
  auto got =
      co_await again::retry(quick, [&] { return e.send(http::request::get("/a").header("Accept", "text/plain")); });
  if (got) fmt::print("{}\n", *got);
}

// ── a policy is trivially copyable: it may be written in place as well ──
again::task<> policy_in_place(echo& e) {
  auto got = co_await again::retry({.attempts = 3, .deadline = 2s}, [&] { return e.send(http::request::get("/b")); });
  if (got) fmt::print("{}\n", *got);
}

// ── captures that own something: name the lambda first ──
again::task<> named_lambda(echo& e) {
  auto body = std::make_shared<std::string>("owned");
  auto op = [&e, body] { return e.send(http::request::post("/c").body(*body)); };
  auto got = co_await again::retry(quick, op);
  if (got) fmt::print("{}\n", *got);
}

// ── or pass a function and its arguments ──
again::task<text> greet(echo& e, const std::string& name) {
  http::request r = http::request::get("/hello");
  r.header("X-Name", name);
  co_return co_await e.send(r);
}
again::task<> arguments(echo& e) {
  auto got = co_await again::retry(quick, greet, std::ref(e), std::string{"a name too long for small strings"});
  if (got) fmt::print("{}\n", *got);
}

// ── choose first, then await ──
again::task<> chosen(echo& e, bool post) {
  const http::request r = post ? http::request::post("/d") : http::request::get("/d");
  auto got = co_await again::retry(quick, [&] { return e.send(r); });
  if (got) fmt::print("{}\n", *got);
}

// ── await first, then ask ──
again::task<> asked() {
  const bool slept = co_await again::sleep_for(1ms);
  if (slept) fmt::print("slept\n");
}

int main() {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  echo e;
  again::sync_wait(loop, in_place(e));
  again::sync_wait(loop, policy_in_place(e));
  again::sync_wait(loop, named_lambda(e));
  again::sync_wait(loop, arguments(e));
  again::sync_wait(loop, chosen(e, true));
  again::sync_wait(loop, asked());
  return 0;
}
