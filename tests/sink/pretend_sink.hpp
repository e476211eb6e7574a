// SPDX-License-Identifier: MIT
/// \file
/// A sink in pretend time, with what a test needs to hand events to it.
#pragma once

#include <again/sink.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>

#include "support/pretend_transport.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace again_test {

using namespace again;
using namespace std::chrono_literals;
using http::error_kind;

inline constexpr policy three{
    .attempts = 3, .backoff = constant(10ms), .jitter = jitter::none, .attempt_timeout = 1s, .deadline = 20s};

inline endpoint at(std::string host, int in_flight = 16) {
  return {.url = {http::origin{http::scheme::http, host, 80}, "/in"},
          .name = host,
          .policy = three,
          .in_flight = in_flight};
}

/// A sink in pretend time, over a transport whose responses a function decides.
struct pretend_sink {
  explicit pretend_sink(pretend_transport::decide d, std::vector<endpoint> ends, sink_options o = {})
      : through{std::move(d)}, to{through, std::move(ends), std::move(o)} {}

  virtual_clock time;
  run_loop loop{time, 1};
  pretend_transport through;
  sink_over<pretend_transport> to;
  std::vector<std::optional<delivery>> results;
  std::vector<std::string> finished;  // ids in the order of their results

  task<> one(std::size_t slot, event e) {
    delivery d = co_await to.deliver(std::move(e));
    finished.push_back(d.event.id);
    results[slot] = std::move(d);
  }
  void hand_in(scope& s, event e) {
    results.emplace_back();
    s.spawn(one(results.size() - 1, std::move(e)));
  }
  task<> all(std::vector<event> events) {
    const context& here = co_await get_context();
    scope s{here};
    for (event& e : events) hand_in(s, std::move(e));
    co_await s.join();
  }
  void deliver(std::vector<event> events) { sync_wait(loop, all(std::move(events))); }
  const delivery& only() const { return results.at(0).value(); }
  bool balanced() const {
    return to.accepted() == to.delivered() + to.failed() && to.in_flight() == 0 && to.queued() == 0 &&
           to.attempts() == through.seen.size();
  }
};

inline std::vector<event> events(int n) {
  std::vector<event> all;
  for (int i = 0; i < n; ++i) all.emplace_back(std::to_string(i), "{}");
  return all;
}

class temporary_file {
 public:
  temporary_file() : path{"/tmp/again-sink-test-XXXXXX"} { ::close(::mkstemp(path.data())); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() { ::unlink(path.c_str()); }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::FILE* const f = std::fopen(path.c_str(), "r");
    std::string line;
    for (int c = 0; (c = std::fgetc(f)) != EOF;) {
      if (c == '\n') {
        all.push_back(std::exchange(line, {}));
      } else {
        line += static_cast<char>(c);
      }
    }
    static_cast<void>(std::fclose(f));
    return all;
  }
  std::string path;
};

}  // namespace again_test
