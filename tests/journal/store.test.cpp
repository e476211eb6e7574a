// SPDX-License-Identifier: MIT
#include <again/journal/store.hpp>

#include <again/coro/task.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

using namespace again;
using namespace again::journal;

namespace {

/// A store of tasks.
struct written_by_tasks {
  template <class T> using result_of = task<stored_result<T>>;
  result_of<acknowledged> append(std::vector<new_event>);
  result_of<taken> take(std::size_t, worker_lease);
  result_of<std::vector<claim>> extend(std::vector<extension>, duration);
  result_of<void> later(claim, wall_time, journal::progress);
  result_of<void> done(claim, result);
  result_of<void> dead(claim, result);
  result_of<std::optional<event_record>> find(std::string);
};
struct without_extend {
  task<stored_result<acknowledged>> append(std::vector<new_event>);
};
/// Not awaitable.
struct at_once : written_by_tasks {
  stored_result<acknowledged> append(std::vector<new_event>);
};

static_assert(store<written_by_tasks>);
static_assert(!store<without_extend>);
static_assert(!store<at_once>);

}  // namespace

TEST_CASE("the error of a lost lease names the event and the worker, and says what to do") {
  const error e = lost_lease(claim{"42", lease_token{"w1", 7}});
  CHECK(e.kind == error_kind::lost_lease);
  CHECK(e.text == "event 42 is not leased to w1 any more: it belongs to another worker, or is finished; drop it");
  CHECK(missing_id().kind == error_kind::invalid);
}
