// SPDX-License-Identifier: MIT
#include <again/journal/detail/next_step.hpp>

#include <again/combinator/ending.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/error.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace std::chrono_literals;
using namespace journal::detail;
using journal::no_time;

namespace {

constexpr wall_time now{10'000s};
constexpr policy schedule{.attempts = 3,
                          .backoff = exponential(1min, 1h),
                          .jitter = jitter::none,
                          .attempt_timeout = forever,
                          .deadline = 10h,
                          .server_delay_max = 2h,
                          .server_delay_over = over_max::cap};

endpoint_outcome taken_by(const char* name, int status = 200) {
  return {name, endpoint_outcome::result_type{http::response{status}}, 1, 1s, {}};
}
endpoint_outcome failed_at(const char* name, stop_reason why, duration wish = -1ns, int sends = 2) {
  failure<http::error>::report r;
  r.reason = why;
  r.attempts = sends;
  if (sends > 0) r.error.emplace(http::error_kind::reset, verdict{.server_delay = wish, .code = 503}, "as pretended");
  return {name, endpoint_outcome::result_type{unexpect, failure<http::error>{std::move(r)}}, sends, 1s, {}};
}
delivery of(std::vector<endpoint_outcome> all) {
  delivery d{event{"1"}};
  d.outcomes = std::move(all);
  return d;
}
next_step step_after(const delivery& d, journal::progress p = {}, wall_time deadline = no_time) {
  add(p, d, now - 5s, now);
  return after(d, p, schedule, deadline, now, 0);
}

}  // namespace

TEST_CASE("taken everywhere: done, with the status") {
  CHECK(step_after(of({taken_by("a", 202)})) == next_step{.action = next_action::done, .status = 202});
}

TEST_CASE("a reason is worth another delivery, or final, or our own stop") {
  for (const stop_reason why : again::detail::enumerators<stop_reason>) {
    const next_step s = step_after(of({failed_at("a", why)}));
    CAPTURE(name(why));
    if (cancelled(why)) {
      CHECK(s.action == next_action::give_back);
    } else if (why == stop_reason::permanent || why == stop_reason::not_replayable ||
               why == stop_reason::server_forbade) {
      CHECK(s == next_step{.action = next_action::dead, .reason = name(why), .status = 503});
    } else if (journal::detail::waits_for_endpoint(why)) {
      CHECK(s.action == next_action::again);
      CHECK(s.wait > 48min);  // the longest wait of the schedule, with a part of it at random
      CHECK(s.wait <= 1h);
    } else {
      CHECK(s == next_step{.action = next_action::again, .wait = 1min, .status = 503});
    }
  }
}

TEST_CASE("the schedule counts deliveries in which something was sent, and its deadline from the first of them") {
  journal::progress p;
  const delivery failed = of({failed_at("a", stop_reason::attempts_exhausted)});
  p.deliveries = 1;
  CHECK(step_after(failed, p).wait == 2min);
  p.deliveries = 2;
  CHECK(step_after(failed, p) == next_step{.action = next_action::dead, .reason = "attempts_exhausted", .status = 503});
  const delivery refused = of({failed_at("a", stop_reason::breaker_open, -1ns, 0)});
  p.deliveries = 2;
  CHECK(step_after(refused, p).wait == 2min);
  p.first_attempt = now - 11h;
  CHECK(step_after(refused, p).reason == "deadline_reached");
  p.first_attempt = now - 9h - 59min;
  CHECK(step_after(refused, p).reason == "deadline_too_near");
}

TEST_CASE("a server's wish is kept, up to what the schedule allows") {
  CHECK(step_after(of({failed_at("a", stop_reason::server_delay_too_long, 90min)})).wait == 90min);
  CHECK(step_after(of({failed_at("a", stop_reason::attempts_exhausted, 5s)})).wait == 1min);
  CHECK(step_after(of({failed_at("a", stop_reason::attempts_exhausted, 24h)})).wait == 2h);
  CHECK(step_after(of({failed_at("a", stop_reason::attempts_exhausted, 90min),
                       failed_at("b", stop_reason::attempts_exhausted, 80min)}))
            .wait == 90min);
}

TEST_CASE("the event's own deadline ends it, before the wait that would not fit, and also where we were stopped") {
  const delivery failed = of({failed_at("a", stop_reason::attempts_exhausted)});
  CHECK(step_after(failed, {}, now + 2min).action == next_action::again);
  CHECK(step_after(failed, {}, now + 30s).reason == "deadline_too_near");
  CHECK(step_after(failed, {}, now).reason == "deadline_reached");
  CHECK(step_after(of({failed_at("a", stop_reason::cancelled_in_attempt)}), {}, now).reason == "deadline_reached");
  CHECK(step_after(of({taken_by("a")}), {}, now).action == next_action::done);
}

TEST_CASE("of a broadcast, those that are left get it again, and one that refused makes it dead in the end") {
  const delivery mixed =
      of({taken_by("a"), failed_at("b", stop_reason::permanent), failed_at("c", stop_reason::attempts_exhausted)});
  journal::progress p;
  add(p, mixed, now - 5s, now);
  CHECK(p.only == std::vector<std::string>{"c"});
  CHECK(p.refused == std::vector<std::string>{"b"});
  CHECK(after(mixed, p, schedule, no_time, now, 0).action == next_action::again);
  delivery rest{event{"1"}};
  rest.event.only = {"c"};
  rest.outcomes.push_back(taken_by("c"));
  add(p, rest, now, now);
  CHECK(p.only.empty());
  const next_step end = after(rest, p, schedule, no_time, now, 0);
  CHECK(end.action == next_action::dead);
  CHECK(end.reason == "permanent");
  // Stopped at one, taken by the other.
  journal::progress half;
  const delivery stopped = of({taken_by("a"), failed_at("b", stop_reason::cancelled_in_attempt)});
  add(half, stopped, now, now);
  CHECK(half.only == std::vector<std::string>{"b"});
  CHECK(after(stopped, half, schedule, no_time, now, 0).action == next_action::give_back);
}

TEST_CASE("progress has sends, times and the last error; a delivery that sent nothing adds none") {
  journal::progress p;
  add(p, of({failed_at("a", stop_reason::breaker_open, -1ns, 0)}), now - 5s, now);
  CHECK(p == journal::progress{});
  add(p, of({failed_at("a", stop_reason::attempts_exhausted)}), now - 5s, now);
  CHECK(p.attempts == 2);
  CHECK(p.deliveries == 1);
  CHECK(p.first_attempt == now - 5s);
  CHECK(p.last_attempt == now);
  CHECK(p.last_error == "reset: as pretended (maybe_sent, status 503)");
  CHECK(p.only.empty());
  add(p, of({taken_by("a")}), now + 1h, now + 2h);
  CHECK(p.attempts == 3);
  CHECK(p.first_attempt == now - 5s);
  CHECK(p.last_attempt == now + 2h);
  CHECK(p.last_error == "reset: as pretended (maybe_sent, status 503)");
}

TEST_CASE("a delivery that was never begun says why") {
  delivery d{event{"1"}};
  d.not_begun = stop_reason::cancelled_before_start;
  CHECK(step_after(d).action == next_action::give_back);
  d.not_begun = stop_reason::breaker_open;
  CHECK(step_after(d).action == next_action::again);
}

TEST_CASE(
    "an event that waits for an endpoint uses up no delivery, is not ended by the schedule, but by its own deadline") {
  const delivery refused = of({failed_at("a", stop_reason::endpoint_disabled, -1ns, 0)});
  journal::progress tried;
  tried.deliveries = 3;
  tried.first_attempt = now - 20h;
  CHECK(step_after(refused, tried).action == next_action::again);
  CHECK(step_after(refused, tried, now + 5min).wait == 5min);
  CHECK(step_after(refused, tried, now).action == next_action::dead);
  add(tried, refused, now, now);
  CHECK(tried.deliveries == 3);
  CHECK(tried.last_error == "endpoint_disabled: a");
  journal::progress fresh;
  delivery nowhere{event{"1"}};
  nowhere.not_begun = stop_reason::endpoint_paused;
  add(fresh, nowhere, now, now);
  CHECK(fresh.last_error == "endpoint_paused");
  CHECK(fresh.first_attempt == no_time);
}

TEST_CASE("where one endpoint is disabled and another has failed, the schedule decides") {
  delivery d =
      of({failed_at("a", stop_reason::endpoint_disabled, -1ns, 0), failed_at("b", stop_reason::attempts_exhausted)});
  d.event.only = {"a", "b"};
  CHECK(step_after(d).wait == 1min);
}

TEST_CASE("a delivery that found no room is made again after as long as the event has waited, an hour at most") {
  const delivery crowded = of({failed_at("a", stop_reason::overloaded, -1ns, 0)});
  journal::progress p;
  p.deliveries = 1;
  for (const auto& [waited, wait] : {std::pair{5s, 1min}, std::pair{600s, 10min}, std::pair{7200s, 60min}}) {
    p.first_attempt = now - waited;
    CHECK(step_after(crowded, p).wait == wait);
  }
}
