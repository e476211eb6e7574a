// SPDX-License-Identifier: MIT
#include <again/journal/event_record.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace again;
using namespace std::chrono_literals;
using journal::event_state;

TEST_CASE("times on the wall clock add up to no_time at most") {
  const wall_time t{100s};
  CHECK(journal::later_by(t, 5s) == wall_time{105s});
  CHECK(journal::later_by(t, forever) == journal::no_time);
  CHECK(journal::later_by(wall_time{-100s}, forever) < journal::no_time);
  CHECK(journal::later_by(journal::no_time, 1s) == journal::no_time);
}

TEST_CASE("an event that is stored has a key, and is due now at the earliest") {
  const wall_time now{1000s};
  event e{"1"};
  const journal::event_record made{journal::new_event{e}, now};
  CHECK(made.event.key.size() == 36);
  CHECK(made.created == now);
  CHECK(made.due == now);
  CHECK(made.deadline == journal::no_time);
  CHECK(made.state == event_state::waiting);
  e.key = "given";
  journal::new_event later{e, now + 5s};
  later.due = now + 1s;
  const journal::event_record kept{later, now};
  CHECK(kept.event.key == "given");
  CHECK(kept.due == now + 1s);
  CHECK(kept.deadline == now + 5s);
}

TEST_CASE("two states are the end of an event") {
  CHECK(!finished(event_state::waiting));
  CHECK(!finished(event_state::leased));
  CHECK(finished(event_state::done));
  CHECK(finished(event_state::dead));
  CHECK(name(event_state::leased) == "leased");
}
