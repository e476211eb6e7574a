// SPDX-License-Identifier: MIT
#include <again/journal/durable_observer.hpp>

#include <again/journal/durable_sink.hpp>
#include <again/journal/memory_store.hpp>

#include "journal/store_contract.hpp"
#include "sink/pretend_sink.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;

using journal::event_state;
using journal::store_call;

namespace {

/// What it was told, one line for each call.
class listener final : public durable_observer {
 public:
  explicit listener(const journal::memory_store& s) : store_{s} {}

  task<> ended(event_end how) override {
    for (const auto& [place, r] : store_.records())
      if (r.event.id == how.record.event.id) CHECK(r.state == how.state);  // it was recorded before
    const journal::result& result = how.record.result;
    std::string line = how.record.event.id + " " + std::string{name(how.state)} + " " +
                       std::to_string(result.progress.attempts) + " " + result.reason;
    if (how.last == nullptr) line += " none";
    ends.push_back(std::move(line));
    const bool slept = co_await sleep_for(pause);
    CHECK(slept);
    if (throws) throw std::runtime_error{"the observer fails"};
  }
  void store_failed(const journal::error& why) override {
    errors.emplace_back(name(why.kind));
    if (throws) throw std::runtime_error{"the observer fails"};
  }

  std::vector<std::string> ends, errors;
  duration pause{};
  bool throws = false;

 private:
  const journal::memory_store& store_;
};

struct fixture {
  explicit fixture(pretend_transport::decide d, durable_options o = {}) : through{std::move(d)} {
    endpoint e = at("a");
    e.policy = {.attempts = 1, .attempt_timeout = 1s, .deadline = 20s};
    e.breaker.reset();
    to.emplace(through, std::vector<endpoint>{e}, sink_options{});
    o.schedule = {
        .attempts = 2, .backoff = constant(1min), .jitter = jitter::none, .attempt_timeout = forever, .deadline = 1h};
    o.observer = &told;
    kept.emplace(store, *to, o);
  }
  template <class Ready> void deliver(std::vector<journal::new_event> events, Ready ready) {
    const auto all = [&]() -> task<> {
      scope s{co_await get_context()};
      s.spawn(kept->run());
      const auto stored = co_await kept->append(std::move(events));
      CHECK(stored);
      while (!ready()) {
        const bool slept = co_await sleep_for(1s);
        if (!slept) break;
      }
      co_await kept->close(1h);
      co_await s.join();
      co_await to->close(0s);
    };
    sync_wait(loop, all());
  }

  virtual_clock time;
  run_loop loop{time, 1};
  journal::memory_store store;
  listener told{store};
  pretend_transport through;
  std::optional<sink_over<pretend_transport>> to;
  std::optional<durable_sink<journal::memory_store, sink_over<pretend_transport>>> kept;
};

}  // namespace

TEST_CASE("an observer is told of each way in which an event leaves the sink, after it was recorded") {
  int n = 0;
  fixture f{[&](const pretend_transport::request& r) {
    if (r.body == "body 1") return response(202);
    return response(++n == 1 ? 503 : 422);
  }};
  f.deliver(numbered(1, 2), [&] { return f.told.ends.size() == 3; });
  std::sort(f.told.ends.begin(), f.told.ends.end());
  CHECK(f.told.ends == std::vector<std::string>{"1 done 1 ", "2 dead 2 permanent", "2 waiting 1 "});
  CHECK(f.told.errors.empty());
}

TEST_CASE("where nothing was sent, there is no delivery to be told of") {
  fixture f{[&](const pretend_transport::request&) { return response(202); }};
  auto events = numbered(1, 1);
  events[0].deadline = f.time.wall_now();
  f.deliver(std::move(events), [&] { return !f.told.ends.empty(); });
  CHECK(f.told.ends == std::vector<std::string>{"1 dead 0 deadline_reached none"});
}

TEST_CASE("calls of the store that fail are told, and the event is told of once, when it is recorded") {
  fixture f{[&](const pretend_transport::request&) { return response(202); }};
  f.store.fail(store_call::take, 1, journal::error_kind::unreachable);
  f.store.fail(store_call::done, 2, journal::error_kind::full);
  f.deliver(numbered(1, 1), [&] { return f.kept->done() == 1; });
  CHECK(f.told.errors == std::vector<std::string>{"unreachable", "full", "full"});
  CHECK(f.told.ends == std::vector<std::string>{"1 done 1 "});
}

TEST_CASE("a slow observer holds up the taking of events, and what it throws is dropped") {
  durable_options o;
  o.held = 2;
  fixture f{[&](const pretend_transport::request&) { return response(202); }, o};
  f.told.pause = 1h;
  f.told.throws = true;
  f.store.fail(store_call::done, 1, journal::error_kind::io);
  f.deliver(numbered(1, 6), [&] { return f.kept->done() == 6; });
  CHECK(f.told.ends.size() == 6);
  CHECK(f.kept->unrecorded() == 0);
  CHECK(f.time.now() - virtual_clock::start >= 2h);
}
