// SPDX-License-Identifier: MIT
/// \file
/// `journal::store`: the concept of what keeps events until they are finished, on one machine (`<again/sqlite.hpp>`) or in memory, for
/// tests (`<again/journal/memory_store.hpp>`).
///
/// ```cpp
/// auto stored = co_await store.append(std::move(events));            // expected<acknowledged, error>
/// auto taken = co_await store.take(100, worker_lease{"worker-1", 30s});
/// for (const event_record& r : taken->events) …
/// auto ended = co_await store.done(r.claim(), result{progress});
/// ```
///
/// | member | what it does, on success |
/// |---|---|
/// | `append(events)` | all of them are stored, or were before: by id. They survive a crash from now on |
/// | `take(n, lease)` | gives at most `n` events that are due, the longest due first, and leases them. It does not wait for events |
/// | `extend(extensions, span)` | each lease ends `span` from now; the progress that is given is stored. Gives the claims that were lost |
/// | `later(claim, due, progress)` | the event is given back, and is due again at `due` |
/// | `done(claim, result)`, `dead(claim, result)` | the event is finished |
/// | `find(id)` | the event as it is stored; nothing where there is none |
///
/// - Order: of one `order_key`, `take` gives no event while an earlier one is unfinished, leased or waiting. Events with other keys, and
///   without one, go past it.
/// - Leases: a lease that has ended still counts until another worker has taken the event. After that `extend`, `later`, `done` and
///   `dead` change nothing: the error is `lost_lease`.
/// - All or nothing: a call that fails has changed nothing, or, where the way back was cut off (`unreachable`, `io`), all that it was
///   asked for. So it may be made again: `append` knows the ids, and what a claim has recorded it may record once more.
/// - Times: the wall clock of the scheduler on which the call is awaited (`wall_now`).
/// - Cancellation: a stop request ends a call that has not begun: `cancelled`. One that has begun gives its true result.
/// - Lifetime: a call may be destroyed at any time. What it has begun is completed; events that were taken and reached nobody are given
///   back. The store outlives its calls.
/// - Threads: calls are made, awaited and destroyed on the thread of one loop.
/// - Errors: results are `expected<…, journal::error>`; nothing throws, but for want of memory while the call is made.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/coro/awaitable.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {

/// All events of an `append` are in the store.
struct acknowledged {
  std::size_t stored = 0;    ///< new ones
  std::size_t repeated = 0;  ///< ids that were there already, finished or not

  friend bool operator==(const acknowledged&, const acknowledged&) = default;
};

/// What a worker asks for.
class worker_lease {
 public:
  explicit worker_lease(std::string who, duration_with_unit how_long) : worker{std::move(who)}, span{how_long} {}

  std::string worker;  ///< in messages and in the store
  duration span;       ///< after this time, if it was not extended, another worker may take the event
};

class taken {
 public:
  taken() = default;

  std::vector<event_record> events;
  /// When there may be more, as far as the store knows: the next due time, or the end of a lease.
  std::optional<wall_time> next;
};

/// A lease to extend, and the progress to record with it.
class extension {
 public:
  explicit extension(journal::claim what, std::optional<journal::progress> so_far = {})
      : claim{std::move(what)}, progress{std::move(so_far)} {}

  journal::claim claim;
  std::optional<journal::progress> progress;
};

template <class T> using stored_result = expected<T, error>;

/// For stores: the errors that all of them have in common.
inline error lost_lease(const claim& c) {
  return error{error_kind::lost_lease, "event " + c.id + " is not leased to " + c.token.worker +
                                           " any more: it belongs to another worker, or is finished; drop it"};
}
inline error missing_id() { return error{error_kind::invalid, "an event has no id; give each event one"}; }

namespace detail {
/// A startable, or what a coroutine awaits to the same result.
template <class A, class T>
concept gives = awaitable<A> && std::same_as<await_result_t<A>, stored_result<T>>;
}  // namespace detail

/// See the top of this file.
template <class S>
concept store =
    requires(S& s, std::vector<new_event> events, std::size_t n, worker_lease lease, std::vector<extension> extensions,
             duration span, claim c, wall_time due, progress so_far, result r, std::string id) {
      { s.append(std::move(events)) } -> detail::gives<acknowledged>;
      { s.take(n, std::move(lease)) } -> detail::gives<taken>;
      { s.extend(std::move(extensions), span) } -> detail::gives<std::vector<claim>>;
      { s.later(std::move(c), due, std::move(so_far)) } -> detail::gives<void>;
      { s.done(std::move(c), std::move(r)) } -> detail::gives<void>;
      { s.dead(std::move(c), std::move(r)) } -> detail::gives<void>;
      { s.find(std::move(id)) } -> detail::gives<std::optional<event_record>>;
    };

}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
