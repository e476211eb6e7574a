// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_keeper`: keeps the states of a sink's endpoints in the store, and brings the changes that other processes have made there to
/// the sink. Where the store or the sink cannot do that, it does nothing.
///
/// Written: paused by hand or for a time of ten seconds or more, disabled, available again, and since when an endpoint fails, after a minute.
/// Not written: what a circuit breaker finds out, which is found out anew within seconds, and shorter pauses, which end before a restart.
///
/// Several processes may keep the states of the same endpoints: each writes what it has found out, and takes over what others have written.
/// Owned by the durable sink. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/journal/detail/durable_numbers.hpp>
#include <again/journal/detail/next_step.hpp>
#include <again/journal/detail/tell.hpp>
#include <again/journal/detail/wakeup.hpp>
#include <again/journal/durable_options.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/sink/endpoint_control.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

template <class Sink>
concept has_endpoints = requires(Sink& s) {
  { s.endpoints() } -> std::same_as<endpoint_control&>;
};

/// Times on the steady clock are not exact on the wall.
inline bool near(wall_time x, wall_time y) noexcept {
  return x == y ||
         (x != wall_time::max() && y != wall_time::max() && std::max(x, y) - std::min(x, y) < std::chrono::seconds{2});
}
/// What is worth keeping of a state. A pause that is `stored` stays until it is over: a process that reads "available" ends its own.
inline endpoint_status worth_keeping(endpoint_status s, wall_time now, const endpoint_status& stored) {
  const bool kept = stored.state == s.state && near(stored.until, s.until);
  const bool short_pause = !kept && s.until != wall_time::max() && s.until - now < std::chrono::seconds{10};
  if (is_open(s) || short_pause) {
    s.state = endpoint_state::available;
    s.reason = endpoint_reason::none;
    s.until = wall_time::max();
  }
  if (s.failing_since != wall_time::max() && now - s.failing_since < std::chrono::minutes{1})
    s.failing_since = wall_time::max();
  if (is_open(s) && s.failing_since == wall_time::max()) s.last_error.clear();
  return s;
}
/// Whether two records say the same of it.
inline bool same_state(const endpoint_status& a, const endpoint_status& b) noexcept {
  return a.state == b.state && a.reason == b.reason && near(a.until, b.until) && near(a.failing_since, b.failing_since);
}

template <class Store, class Sink> class endpoint_keeper {
 public:
  /// `let_go`: woken when an endpoint is open again.
  endpoint_keeper(Store& store, Sink& to, wakeup& let_go, durable_numbers& numbers, const durable_options& o)
      : store_{store}, sink_{to}, let_go_{let_go}, numbers_{numbers}, options_{o} {}
  endpoint_keeper(const endpoint_keeper&) = delete;
  endpoint_keeper& operator=(const endpoint_keeper&) = delete;
  ~endpoint_keeper() {
    if constexpr (keeps) sink_.endpoints().on_change({});
  }

  /// Before the first event is taken: the sink knows what the store knows. Ends without it where `over()`.
  template <class Over> task<> load(Over over) {
    if constexpr (keeps) {
      const context& here = co_await get_context();
      endpoint_control& ends = sink_.endpoints();
      ends.run_on(*here.scheduler);
      ends.give_back_what_waits();
      ends.on_change([this] { changed_.wake(); });
      for (int failures = 0; !over();) {
        auto known = co_await store_.endpoints();
        if (known) {
          for (endpoint_record& r : *known) {
            ends.restore(r.status);
            known_[r.status.name] = std::move(r);
          }
          bool fine = true, again = false;
          co_await compare(fine, again);  // new endpoints are known from now on
          co_return;
        }
        failed(known.error());
        const time_point again_at = saturating_add(here.scheduler->now(), pause(++failures));
        while (!over() && here.scheduler->now() < again_at) co_await let_go_.until(again_at);
      }
    }
    co_return;
  }
  /// Until it is stopped or destroyed.
  task<> run() {
    if constexpr (keeps) {
      const context& here = co_await get_context();
      bool fine = true, again = false;
      for (int failures = 0; !here.stop.stop_requested(); failures = fine ? 0 : failures + 1) {
        const duration next = fine ? duration{options_.poll} : std::max<duration>(options_.poll, pause(failures));
        if (!again) co_await changed_.until(saturating_add(here.scheduler->now(), next));
        fine = true;
        again = false;
        co_await compare(fine, again);
      }
    }
    co_return;
  }

 private:
  static constexpr bool keeps = endpoint_store<Store> && has_endpoints<Sink>;

  void failed(const error& why) {
    if (why.kind == error_kind::cancelled) return;  // it is the end
    numbers_.store_errors.add();
    tell(options_.observer, why);
  }
  // Store and sink, both ways. `again`: another process has changed a record meanwhile.
  task<> compare(bool& fine, bool& again) {
    const context& here = co_await get_context();
    auto stored = co_await store_.endpoints();
    if (!stored) {
      failed(stored.error());
      fine = false;
      co_return;
    }
    for (auto& [name, known] : known_) {  // a record that somebody has removed is written anew
      const bool there =
          std::any_of(stored->begin(), stored->end(), [&](const auto& r) { return r.status.name == name; });
      if (!there) known.revision = 0;
    }
    for (endpoint_record& r : *stored) {
      endpoint_record& known = known_[r.status.name];
      if (known.revision == r.revision) continue;
      adopt(r.status);
      known = std::move(r);
    }
    for (const endpoint_status& s : sink_.endpoints().all()) {
      endpoint_record& known = known_[s.name];
      endpoint_status now_is = worth_keeping(s, here.scheduler->wall_now(), known.status);
      // Several processes send there, and not all of them fail: what has not changed here overwrites nobody's.
      wall_time& fails_since = fails_since_.try_emplace(s.name, wall_time::max()).first->second;
      const wall_time seen_here = now_is.failing_since;
      if (known.revision != 0 && near(seen_here, fails_since)) now_is.failing_since = known.status.failing_since;
      if (known.revision != 0 && same_state(now_is, known.status)) {
        fails_since = seen_here;
        continue;
      }
      auto put = co_await store_.put(endpoint_record{now_is, known.revision});
      if (!put) {
        failed(put.error());
        fine = false;
        co_return;
      }
      again = again || *put == 0;
      if (*put == 0) continue;
      if (opens(known.status, now_is)) let_go_.wake();
      known.status = std::move(now_is);
      known.revision = *put;
      fails_since = seen_here;
    }
  }
  // A change that another process has made. One that resumes by hand is confirmed by the record that follows (`opens`).
  void adopt(const endpoint_status& to) {
    endpoint_control& ends = sink_.endpoints();
    const auto is = ends.find(to.name);
    if (!is) return;
    if (!is_open(to)) {
      ends.restore(to);
    } else if (to.reason == endpoint_reason::by_hand || !is_open(*is)) {
      ends.resume(to.name);
    }
  }

  Store& store_;
  Sink& sink_;
  wakeup& let_go_;
  durable_numbers& numbers_;
  const durable_options& options_;
  wakeup changed_;
  std::map<std::string, endpoint_record> known_;  // as they are in the store
  std::map<std::string, wall_time> fails_since_;  // as this process has seen it when it last looked
};

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
