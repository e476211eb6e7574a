// SPDX-License-Identifier: MIT
#include <again/httplib/detail/cancel_switch.hpp>

#include <doctest/doctest.h>

#include <thread>

using again::reach;
using again::http::detail::cancel_switch;
using by = cancel_switch::by;

namespace {

struct counting {
  int broken = 0;
  reach says = reach::maybe_sent;
  cancel_switch::breaker breaker() {
    return {[](void* self, by) noexcept {
              auto& me = *static_cast<counting*>(self);
              ++me.broken;
              return me.says;
            },
            this};
  }
};

}  // namespace

TEST_CASE("a stop breaks the phase that runs, and knows from it how far the request had got") {
  cancel_switch stop;
  counting c;
  cancel_switch::phase phase{stop, c.breaker(), reach::maybe_sent};
  CHECK(phase.entered());
  const auto raised = stop.raise(by::awaiter);
  CHECK(raised.first);
  CHECK(raised.far == reach::maybe_sent);
  CHECK(c.broken == 1);
  CHECK(!stop.raise(by::pool).first);
  CHECK(stop.settle(reach::answered) == by::awaiter);
}

TEST_CASE("a stop that meets completion never says not_sent, and does not reach for what was handed on") {
  cancel_switch stop;
  counting c;
  {
    const cancel_switch::phase phase{stop, c.breaker(), reach::maybe_sent};
    CHECK(stop.settle(reach::answered) == by::none);
    const auto inside = stop.raise(by::awaiter);
    CHECK(!inside.first);
    CHECK(inside.far == reach::answered);
  }
  const auto after = stop.raise(by::awaiter);
  CHECK(!after.first);
  CHECK(after.far == reach::answered);
  CHECK(c.broken == 0);
}

TEST_CASE("a phase that ends unsettled leaves what it may have sent, unless it is known to have sent nothing") {
  cancel_switch stop;
  counting c;
  {
    cancel_switch::phase phase{stop, c.breaker(), reach::maybe_sent};
    phase.sent_nothing();
  }
  { const cancel_switch::phase phase{stop, c.breaker(), reach::not_sent}; }
  {
    cancel_switch early;
    const cancel_switch::phase phase{early, c.breaker(), reach::maybe_sent};
  }
  {
    cancel_switch thrown;
    { const cancel_switch::phase phase{thrown, c.breaker(), reach::maybe_sent}; }
    CHECK(thrown.raise(by::awaiter).far == reach::maybe_sent);
  }
  const auto raised = stop.raise(by::awaiter);
  CHECK(raised.first);
  CHECK(raised.far == reach::not_sent);
  const cancel_switch::phase late{stop, c.breaker(), reach::maybe_sent};
  CHECK(!late.entered());
  CHECK(stop.settle(reach::not_sent) == by::awaiter);
  CHECK(c.broken == 0);
}

TEST_CASE(
    "once a result is decided, a raise breaks off what runs and is not first; one that was stopped is not decided") {
  cancel_switch stop;
  counting c;
  {
    const cancel_switch::phase phase{stop, c.breaker(), reach::maybe_sent};
    CHECK(stop.decide());
    CHECK(!stop.raise(by::bound).first);
    CHECK(c.broken == 1);
    CHECK(stop.raised() == by::none);
  }
  CHECK(stop.settle(reach::answered) == by::none);
  cancel_switch stopped;
  CHECK(stopped.raise(by::awaiter).first);
  CHECK(!stopped.decide());
  CHECK(stopped.settle(reach::answered) == by::awaiter);
}

TEST_CASE("of a stop and a completion on two threads exactly one gives the result") {
  for (int i = 0; i < 2000; ++i) {
    cancel_switch stop;
    counting c;
    by settled = by::none;
    std::thread worker{[&] {
      const cancel_switch::phase phase{stop, c.breaker(), reach::maybe_sent};
      if (phase.entered())
        settled = stop.settle(reach::answered);
      else
        settled = stop.settle(reach::not_sent);
    }};
    const auto raised = stop.raise(by::awaiter);
    worker.join();
    CHECK(raised.first == (settled == by::awaiter));
    if (!raised.first) CHECK(raised.far == reach::answered);
  }
}
