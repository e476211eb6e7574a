// SPDX-License-Identifier: MIT
#include <again/sink/detail/endpoint_health.hpp>

#include <doctest/doctest.h>

#include <optional>

using namespace again;
using namespace std::chrono_literals;
using detail::endpoint_health;

namespace {

const time_point start{1h};
const verdict refused{.reach = reach::not_sent}, busy{.reach = reach::answered, .server_delay = 5s};
const breaker_rules two{.consecutive = 2, .open_for = 1s, .open_max = 4s};

bool attempt(endpoint_health& h, time_point now, const std::optional<verdict>& failed) {
  breaker::permit outcome;
  if (!h.admit(now, outcome)) return false;
  if (failed) {
    h.failed(*failed, 1h, now, outcome);
  } else {
    outcome.succeeded(now);
  }
  return true;
}

}  // namespace

TEST_CASE("failures in a row open the circuit breaker; one probe at a time finds out whether the endpoint is back") {
  endpoint_health h{two};
  CHECK(h.state(start) == endpoint_state::available);
  CHECK(attempt(h, start, refused));
  CHECK(h.state(start) == endpoint_state::available);
  CHECK(attempt(h, start, refused));
  CHECK(h.state(start) == endpoint_state::breaker_open);
  CHECK(h.opens_at() == start + 1s);
  CHECK(!attempt(h, start + 999ms, std::nullopt));
  CHECK(h.state(start + 1s) == endpoint_state::probing);
  breaker::permit probe, second;
  CHECK(h.admit(start + 1s, probe));
  CHECK(!h.admit(start + 1s, second));
  h.failed(refused, 1h, start + 1s, probe);
  CHECK(h.opens_at() == start + 3s);
  CHECK(attempt(h, start + 3s, std::nullopt));
  CHECK(h.state(start + 3s) == endpoint_state::available);
}

TEST_CASE("a wish to be asked later pauses the endpoint and says nothing bad of it") {
  endpoint_health h{two};
  for (int i = 0; i < 5; ++i) {
    const time_point now = start + i * 5s;
    CHECK(attempt(h, now, busy));
    CHECK(h.state(now) == endpoint_state::paused);
    CHECK(h.opens_at() == now + 5s);
    CHECK(!attempt(h, now + 5s - 1ns, std::nullopt));
    CHECK(h.state(now + 5s) == endpoint_state::available);
  }
}

TEST_CASE("a pause is never shortened by a later wish, nor longer than allowed") {
  endpoint_health h{two};
  breaker::permit first, second;
  CHECK(h.admit(start, first));
  CHECK(h.admit(start, second));
  h.failed({.server_delay = 10s}, 1h, start, first);
  h.failed({.server_delay = 1s}, 1h, start + 1s, second);
  CHECK(h.opens_at() == start + 10s);
  endpoint_health bounded{two};
  CHECK(bounded.admit(start, first));
  bounded.failed({.server_delay = 24h}, 1h, start, first);
  CHECK(bounded.opens_at() == start + 1h);
}

TEST_CASE("only what is worth another attempt pauses or counts; what we cut short says nothing") {
  endpoint_health h{two};
  const verdict permanent{.kind = disposition::permanent, .reach = reach::answered, .server_delay = 5s};
  const verdict cut{.kind = disposition::aborted};
  for (int i = 0; i < 5; ++i) {
    CHECK(attempt(h, start, permanent));
    CHECK(attempt(h, start, refused));
    CHECK(attempt(h, start, cut));
    CHECK(attempt(h, start, std::nullopt));
  }
  CHECK(h.state(start) == endpoint_state::available);
}

TEST_CASE("without rules there is no circuit breaker, and pauses are obeyed all the same") {
  endpoint_health h{std::nullopt};
  for (int i = 0; i < 100; ++i) CHECK(attempt(h, start, refused));
  CHECK(attempt(h, start, busy));
  CHECK(!attempt(h, start, refused));
}
