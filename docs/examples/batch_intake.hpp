// SPDX-License-Identifier: MIT
// A second source of events for `deliver --journal`, beside the lines of the input: batches that another thread hands over.
#pragma once

#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/task.hpp>
#include <again/journal/store.hpp>

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace programs {

enum class batch_end : std::uint8_t {
  stored,   ///< all of it is in the journal
  refused,  ///< nothing is: an event of it cannot be stored, however often it is tried
  failed,   ///< nothing is, as far as the journal knows: it may be handed over again later
};

/// Events, all of which are stored or none, and who is told.
struct event_batch {
  std::vector<again::journal::new_event> events;
  /// Called once, on the loop's thread. `stored`: the counts; else `why`. May not throw, and may not block.
  std::function<void(batch_end how, const again::journal::acknowledged& counts, const again::journal::error& why)>
      ended;
};

/// Where batches are handed in. Several may be under way at a time.
class batch_intake {
 public:
  batch_intake() = default;
  batch_intake(const batch_intake&) = delete;
  batch_intake& operator=(const batch_intake&) = delete;
  /// Any thread. Takes the batch and calls its `ended` later; never from inside this call.
  virtual void hand_over(event_batch batch) = 0;

 protected:
  ~batch_intake() = default;
};

/// What hands batches over. Owned by the program; it outlives the run.
class batch_source {
 public:
  batch_source() = default;
  batch_source(const batch_source&) = delete;
  batch_source& operator=(const batch_source&) = delete;
  virtual ~batch_source() = default;
  /// The loop's thread. From now on batches may come. `to` lives until `stop` has returned and every `ended` was called.
  virtual void start(batch_intake& to) = 0;
  /// The loop's thread. After it no further batch comes. What was handed over before still gets its `ended`.
  virtual void stop() = 0;
};

/// Stores batches as they come. `Append`: gives a task of `stored_result<acknowledged>` for a vector of events.
///
/// Owned by the run. Threads: `hand_over` from any; the rest is the loop's. What crosses is `waiting_`, under the mutex, and `arrived_`,
/// which is posted once for each time that it fills. A batch stays in a list, so that its `ended` is called also where there is no memory
/// for more.
template <class Append> class batch_queue final : public batch_intake {
 public:
  batch_queue(const again::context& here, Append append)
      : loop_{*here.scheduler}, append_{std::move(append)}, storing_{here} {
    arrived_.run = [](again::work& w) noexcept { static_cast<arrival&>(w).owner->take_all(); };
    arrived_.owner = this;
  }
  ~batch_queue() { loop_.forget(arrived_); }

  void hand_over(event_batch batch) override {
    std::list<event_batch> one;
    one.push_back(std::move(batch));
    const std::lock_guard lock{mutex_};
    const bool first = waiting_.empty();
    waiting_.splice(waiting_.end(), one);
    if (first) loop_.post(arrived_);
  }
  /// Waits for all that was handed over, when no more comes.
  again::task<> finish() {
    take_all();
    co_await storing_.join();
  }

 private:
  using place = std::list<event_batch>::iterator;
  struct arrival : again::work {
    batch_queue* owner = nullptr;
  };

  void take_all() noexcept {
    std::list<event_batch> all;
    {
      const std::lock_guard lock{mutex_};
      all.swap(waiting_);
    }
    while (!all.empty()) {
      const place one = all.begin();
      under_way_.splice(under_way_.end(), all, one);
      try {
        storing_.spawn(store(one));
      } catch (const std::bad_alloc&) { fail(one); }
    }
  }
  again::task<> store(place batch) {
    try {
      auto got = co_await append_(std::move(batch->events));
      if (got) {
        end(batch, batch_end::stored, *got, again::journal::error{again::journal::error_kind::cancelled});
      } else {
        const bool never = got.error().kind == again::journal::error_kind::invalid;
        end(batch, never ? batch_end::refused : batch_end::failed, {}, got.error());
      }
    } catch (const std::bad_alloc&) { fail(batch); }
  }
  void fail(place batch) noexcept {
    end(batch, batch_end::failed, {}, again::journal::error{again::journal::error_kind::shortage});
  }
  void end(place batch, batch_end how, const again::journal::acknowledged& counts,
           const again::journal::error& why) noexcept {
    batch->ended(how, counts, why);
    under_way_.erase(batch);
  }

  again::scheduler& loop_;
  Append append_;
  arrival arrived_;
  std::list<event_batch> under_way_;  // the loop's
  std::mutex mutex_;
  std::list<event_batch> waiting_;  // under the mutex
  again::scope storing_;            // last: what it runs uses the others
};

}  // namespace programs
