// SPDX-License-Identifier: MIT
#include <again/format/core.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry.hpp>

#include "support/comma_locale.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using namespace std::chrono_literals;

// Error types as people have them: each shows in its own way.
struct with_text {
  std::string text() const { return "the shelf is empty"; }
};
struct with_message {
  std::string message() const { return "no such row"; }
};
struct with_verdict {
  again::verdict verdict() const { return {.name = "busy"}; }
};
struct silent {};
struct with_formatter {
  int code = 0;
  std::string text() const { return "not this one"; }
};

template <class E> again::failure<E> failed(E e, again::stop_reason why = again::stop_reason::attempts_exhausted) {
  typename again::failure<E>::report r;
  r.reason = why;
  r.attempts = 4;
  r.elapsed = 412'345us;
  r.error.emplace(std::move(e));
  return again::failure<E>{std::move(r)};
}

}  // namespace

template <> struct fmt::formatter<with_formatter> : fmt::formatter<std::string_view> {
  template <class Context> auto format(const with_formatter& e, Context& ctx) const {
    return fmt::format_to(ctx.out(), "code {}", e.code);
  }
};

TEST_CASE("an enumerator shows as its name and takes fmt's string specifications") {
  CHECK(fmt::format("{}", again::stop_reason::deadline_too_near) == "deadline_too_near");
  CHECK(fmt::format("[{:>12}]", again::reach::maybe_sent) == "[  maybe_sent]");
  CHECK(fmt::format("{}", again::disposition::not_replayable) == "not_replayable");
  CHECK(fmt::format("{}", again::wait_by::server) == "server");
  CHECK(fmt::format("{}", again::policy_rule::attempts_must_be_at_least_1) == "attempts_must_be_at_least_1");
}

TEST_CASE("a failure is one line: why, after how many attempts, how long, and the last error") {
  CHECK(fmt::format("{}", failed(with_text{})) ==
        "attempts_exhausted after 4 attempts in 412 ms; last error: the shelf is empty");
}

TEST_CASE("a failure before the first send says so and shows no error") {
  again::failure<with_text>::report r;
  r.reason = again::stop_reason::cancelled_before_start;
  CHECK(fmt::format("{}", again::failure<with_text>{r}) == "cancelled_before_start, nothing was sent");
}

TEST_CASE("one attempt is not called attempts") {
  again::failure<with_text>::report r;
  r.reason = again::stop_reason::permanent;
  r.attempts = 1;
  r.elapsed = 1'234us;
  r.error.emplace();
  CHECK(fmt::format("{}", again::failure<with_text>{r}) ==
        "permanent after 1 attempt in 1.2 ms; last error: the shelf is empty");
}

TEST_CASE("an error shows by its formatter, else text(), message(), what(), its exception, its verdict's name") {
  const auto last = [](const auto& f) {
    const std::string all = fmt::format("{}", f);
    return all.substr(all.find("last error: ") + 12);
  };
  CHECK(last(failed(with_formatter{7})) == "code 7");
  CHECK(last(failed(with_message{})) == "no such row");
  CHECK(last(failed(std::runtime_error{"it broke"})) == "it broke");
  CHECK(last(failed(std::make_exception_ptr(std::runtime_error{"thrown"}))) == "thrown");
  CHECK(last(failed(std::make_exception_ptr(42))) == "an exception that is no std::exception");
  CHECK(last(failed(with_verdict{})) == "busy");
  CHECK(last(failed(silent{})) == "an error without a text");
  CHECK(last(failed(std::string{"a text"})) == "a text");
  CHECK(last(failed(std::make_error_code(std::errc::timed_out))) ==
        std::make_error_code(std::errc::timed_out).message());
}

TEST_CASE("the long form of a failure lists the attempts as they happened") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  const again::policy p{.attempts = 3, .backoff = again::constant(250ms), .jitter = again::jitter::none};
  const auto result = again::sync_wait(loop, again::retry(p, []() -> again::task<again::expected<int, with_verdict>> {
                                         (void)co_await again::sleep_for(20ms);
                                         co_return again::unexpected<with_verdict>{with_verdict{}};
                                       }));
  CHECK(fmt::format("{:#}", result.error()) == "attempts_exhausted after 3 attempts in 560 ms; last error: busy\n"
                                               "  attempt 1: busy (maybe_sent) in 20 ms, again in 250 ms (backoff)\n"
                                               "  attempt 2: busy (maybe_sent) in 20 ms, again in 250 ms (backoff)\n"
                                               "  attempt 3: busy (maybe_sent) in 20 ms, stopped: attempts_exhausted");
}

TEST_CASE("a long trace says how many attempts it has dropped") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  const again::policy p{.attempts = 10, .backoff = again::constant(0ms), .jitter = again::jitter::none};
  const auto result = again::sync_wait(loop, again::retry(p, []() -> again::task<again::expected<int, silent>> {
                                         co_return again::unexpected<silent>{silent{}};
                                       }));
  const std::string text = fmt::format("{:#}", result.error());
  CHECK(text.find("\n  (2 earlier ones are not kept)\n  attempt 3: failed (maybe_sent)") != std::string::npos);
}

TEST_CASE("an attempt shows its result, its duration and what follows") {
  again::attempt_record r{.attempt = 2,
                          .reach = again::reach::answered,
                          .by = again::wait_by::server,
                          .code = 503,
                          .name = "status",
                          .took = 1'249us,
                          .wait = 2s};
  CHECK(fmt::format("{}", r) == "attempt 2: 503 (answered) in 1.2 ms, again in 2 s (server)");
  r.by = again::wait_by::none;
  r.wait = {};
  r.took = again::duration{-1};
  CHECK(fmt::format("{}", r) == "attempt 2: 503 (answered), again at once");
  r = {.attempt = 3,
       .last = true,
       .timed_out = true,
       .reach = again::reach::maybe_sent,
       .stop = again::stop_reason::not_replayable,
       .name = "timeout",
       .took = 1s};
  CHECK(fmt::format("{}", r) == "attempt 3: timeout (maybe_sent, timed out) in 1 s, stopped: not_replayable");
  r = {.attempt = 1, .reach = again::reach::answered, .code = 200, .name = "truncated"};
  CHECK(fmt::format("{}", r) == "attempt 1: 200 truncated (answered), again at once");
  r = {.attempt = 4, .ok = true, .last = true, .code = 201, .took = 3ms};
  CHECK(fmt::format("{}", r) == "attempt 4: 201 in 3 ms");
  r.code = 0;
  CHECK(fmt::format("{}", r) == "attempt 4: ok in 3 ms");
}

TEST_CASE("durations in a line have about three digits") {
  using again::detail::rounded;
  CHECK(rounded(0ns) == "0 ms");
  CHECK(rounded(740ns) == "1 us");
  CHECK(rounded(87'654us) == "88 ms");
  CHECK(rounded(1'234ms) == "1.23 s");
  CHECK(rounded(12'345ms) == "12.3 s");
  CHECK(rounded(again::forever) == "no bound");
}

TEST_CASE("numbers have a decimal point whatever the locale of the program is") {
  const again_test::comma_locale comma;
  if (!comma.of_c()) MESSAGE("no locale with a decimal comma is installed: printf is not tested, streams are");
  CHECK(fmt::format("{}", again::exponential(1500ms, 5s, 1.5)) == "exponential(1.5 s, 5 s, 1.5)");
  CHECK(fmt::format("{}", again::jitter::proportional(0.25)) == "proportional(0.25)");
  CHECK(fmt::format("{}", again::attempt_record{.attempt = 1234, .ok = true, .took = 1'249us}) ==
        "attempt 1234: ok in 1.2 ms");
}

TEST_CASE("a policy is one sentence") {
  constexpr auto polite =
      again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .attempt_timeout = 1s, .deadline = 5s});
  CHECK(fmt::format("{}", polite) == "4 attempts; exponential(100 ms, 2 s), full jitter; at most 1 s each, 5 s in all");
  CHECK(fmt::format("{}", again::policy{}) ==
        "4 attempts; exponential(100 ms, 10 s), full jitter; at most 10 s each, 30 s in all");
  CHECK(fmt::format("{}", again::policy{.attempts = 1,
                                        .jitter = again::jitter::none,
                                        .attempt_timeout = again::forever,
                                        .deadline = again::forever,
                                        .server_delay_max = 5s,
                                        .server_delay_over = again::over_max::cap}) ==
        "1 attempt; exponential(100 ms, 10 s), no jitter; no bound on one, no deadline; a server may ask for at most 5 "
        "s, more is cut");
  CHECK(fmt::format("{}", again::policy{.attempts = again::unlimited, .backoff = again::decorrelated(1s, 20s)})
            .starts_with("any number of attempts; decorrelated(1 s, 20 s); at most"));
}

TEST_CASE("backoff and jitter show as they are written") {
  CHECK(fmt::format("{}", again::constant(1s)) == "constant(1 s)");
  CHECK(fmt::format("{}", again::linear(1s, 5s)) == "linear(1 s, 5 s)");
  CHECK(fmt::format("{}", again::exponential(1s, 5s, 1.5)) == "exponential(1 s, 5 s, 1.5)");
  CHECK(fmt::format("{}", again::fibonacci(1s, 5s)) == "fibonacci(1 s, 5 s)");
  CHECK(fmt::format("{}", again::fixed(1s, 250ms, 2min)) == "fixed(1 s, 250 ms, 2 min)");
  CHECK(fmt::format("{}", again::polly_v2(1s, 5s).at_once_first()) == "polly_v2(1 s, 5 s) with the first at once");
  CHECK(fmt::format("{} {} {}", again::jitter::none, again::jitter::equal, again::jitter::proportional(0.25)) ==
        "none equal proportional(0.25)");
  CHECK(fmt::format("{}", again::worst_case(again::policy{.attempts = 1, .deadline = 5s})) == "at most 1 send and 5 s");
}
