// SPDX-License-Identifier: MIT
#include <again/sink/endpoint_state.hpp>

#include "sink/pretend_sink.hpp"

#include <again/sink/delivery_log.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

struct state_listener : delivery_observer {
  std::vector<std::string> heard;
  void changed(const endpoint_change& c) override {
    heard.push_back(std::string{c.endpoint} + " " + std::string{name(c.from)} + " " + std::string{name(c.to)} + " " +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(c.wait).count()));
  }
};

pretended busy(const char* retry_after) {
  pretended p = response(503);
  p.result->headers.add("Retry-After", retry_after);
  return p;
}

}  // namespace

TEST_CASE("observers hear of a pause and its end, and the metrics count it") {
  state_listener ears;
  int n = 0;
  pretend_sink b{[&](const auto&) { return ++n == 1 ? busy("2") : response(200); }, {at("a")}, {.observer = &ears}};
  b.deliver(events(1));
  CHECK(ears.heard == std::vector<std::string>{"a available paused 2000", "a paused available 0"});
  const std::string page = metrics_page{}.add(b.to).text();
  for (const char* const line : {"again_sink_endpoint_state{endpoint=\"a\",state=\"available\"} 1",
                                 "again_sink_endpoint_state{endpoint=\"a\",state=\"paused\"} 0",
                                 "again_sink_endpoint_closings_total{endpoint=\"a\",by=\"retry_after\"} 1",
                                 "again_sink_endpoint_closings_total{endpoint=\"a\",by=\"circuit_breaker\"} 0"}) {
    CHECK_MESSAGE(("\n" + page).find("\n" + std::string{line} + "\n") != std::string::npos, line);
  }
}

TEST_CASE("observers hear of a circuit breaker that opens, probes and closes again") {
  state_listener ears;
  endpoint flaky = at("a");
  flaky.breaker = breaker_rules{.consecutive = 2, .open_for = 1s, .open_max = 4s};
  int n = 0;
  pretend_sink b{[&](const auto&) { return ++n <= 2 ? response(500) : response(200); }, {flaky}, {.observer = &ears}};
  b.deliver(events(1));
  CHECK(b.only());
  CHECK(ears.heard ==
        std::vector<std::string>{"a available breaker_open 1000", "a breaker_open probing 0", "a probing available 0"});
}

TEST_CASE("what an observer throws from a change of state ends no delivery") {
  struct thrower : delivery_observer {
    void changed(const endpoint_change&) override { throw 1; }
  } thrower;
  int n = 0;
  pretend_sink b{[&](const auto&) { return ++n == 1 ? busy("2") : response(200); }, {at("a")}, {.observer = &thrower}};
  b.deliver(events(1));
  CHECK(b.only());
}

TEST_CASE("the log has a line for a change of state: a warning where nothing is sent for a while") {
  CHECK(log_line(log_format::logfmt, wall_time{std::chrono::seconds{1'700'000'000}},
                 endpoint_change{"http://h/in", endpoint_state::available, endpoint_state::paused, 5s}) ==
        "ts=1700000000.000 level=warn msg=endpoint endpoint=http://h/in state=paused was=available wait_ms=5000");
  CHECK(log_line(log_format::json, wall_time{std::chrono::seconds{1'700'000'000}},
                 endpoint_change{"x", endpoint_state::probing, endpoint_state::available, 0s}) ==
        R"({"ts":1700000000.000,"level":"info","msg":"endpoint","endpoint":"x","state":"available","was":"probing"})");
  std::vector<std::string> heard;
  delivery_log log{log_format::logfmt, [&heard](log_level, std::string_view line) { heard.emplace_back(line); },
                   log_level::warn};
  log.changed({"x", endpoint_state::available, endpoint_state::breaker_open, 1s});
  log.changed({"x", endpoint_state::probing, endpoint_state::available, 0s});
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].find("state=breaker_open") != std::string::npos);
}
