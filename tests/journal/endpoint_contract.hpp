// SPDX-License-Identifier: MIT
/// \file
/// What `journal::endpoint_store` promises, as tests that run over any store. `keeps_endpoints` is for those that let go the events that wait.
#pragma once

#include <again/journal/endpoint_store.hpp>

#include "journal/store_contract.hpp"

#include <string>
#include <utility>

namespace again_test {

/// The revision that `put` gives.
template <class S> std::uint64_t put(store_under_test<S>& t, endpoint_status s, std::uint64_t revision) {
  const auto got = sync_wait(t.loop, t.store.put(journal::endpoint_record{std::move(s), revision}));
  REQUIRE(got);
  return *got;
}

/// Over an empty store. Gives the endpoint "a", which is disabled, and its revision.
template <class S> journal::endpoint_record keeps_endpoint_records(store_under_test<S>& t) {
  const auto all = [&] {
    auto got = sync_wait(t.loop, t.store.endpoints());
    REQUIRE(got);
    return *std::move(got);
  };
  CHECK(all().empty());
  endpoint_status a{"a", endpoint_state::disabled, endpoint_reason::gone};
  a.last_error = "status 410";
  a.since = t.now();
  a.until = t.now() + 1h;
  a.failing_since = t.now() - 1h;
  const std::uint64_t first = put(t, a, 0);
  CHECK(first > 0);
  CHECK(put(t, a, 0) == 0);  // there is one
  CHECK(put(t, endpoint_status{"b"}, 7) == 0);
  CHECK(put(t, endpoint_status{"b"}, 0) > 0);
  REQUIRE(all().size() == 2);
  CHECK(all()[0] == journal::endpoint_record{a, first});
  CHECK(all()[1].status.until == wall_time::max());
  const std::uint64_t second = put(t, a, first);
  CHECK(second > first);
  CHECK(put(t, endpoint_status{"a"}, first) == 0);  // another one was first
  CHECK(all()[0] == journal::endpoint_record{a, second});
  return all()[0];
}

/// Over an empty store.
template <class S> void keeps_endpoints(store_under_test<S>& t) {
  const journal::endpoint_record disabled = keeps_endpoint_records(t);
  const endpoint_status& a = disabled.status;
  const std::uint64_t first = disabled.revision;

  // Those that wait for it are due when it is open again: not the new ones, nor those that are for others.
  REQUIRE(t.append(numbered(1, 4)));
  auto planned = numbered(5, 5);
  planned[0].due = t.now() + 2h;
  REQUIRE(t.append(std::move(planned)));
  CHECK(t.take(4).size() == 4);
  const auto waits = [](std::vector<std::string> only) {
    journal::progress p;
    p.last_error = "endpoint_disabled: a";
    p.only = std::move(only);
    return p;
  };
  CHECK(t.later(t.claims[0], 1h, waits({})));
  CHECK(t.later(t.claims[1], 1h, waits({"b", "a"})));
  CHECK(t.later(t.claims[2], 1h, waits({"b"})));
  CHECK(t.later(t.claims[3], 1h));
  CHECK(t.take(9).empty());
  const std::uint64_t second = put(t, endpoint_status{"a"}, first);
  CHECK(second > first);
  CHECK(put(t, a, first) == 0);
  CHECK(t.take(9) == ids{"1", "2"});

  // Open before and after: nothing is let go, but by hand.
  CHECK(t.later(t.claims[4], 1h, waits({})));
  const std::uint64_t third = put(t, endpoint_status{"a"}, second);
  CHECK(t.take(9).empty());
  endpoint_status resumed{"a", endpoint_state::available, endpoint_reason::by_hand};
  const std::uint64_t fourth = put(t, resumed, third);
  CHECK(t.take(9) == ids{"1"});
  CHECK(t.later(t.claims.back(), 1h, waits({})));
  const std::uint64_t fifth = put(t, endpoint_status{"a"}, fourth);
  CHECK(t.take(9) == ids{"1"});  // it was taken before the sink knew that
  CHECK(t.later(t.claims.back(), 1h, waits({})));

  // The end of what an endpoint has asked for lets nothing go: each event has its own time.
  endpoint_status asked{"a", endpoint_state::paused, endpoint_reason::retry_after};
  const std::uint64_t sixth = put(t, asked, fifth);
  CHECK(put(t, endpoint_status{"a"}, sixth) > sixth);
  CHECK(t.take(9).empty());
}

}  // namespace again_test
