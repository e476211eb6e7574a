// SPDX-License-Identifier: MIT
/// \file
/// `store_request`: one call of a store, between the coroutine that awaits it and the thread that writes.
///
/// Owned by both sides together, because either may be gone first. Threads: `perform` and `fail` are the writer's, and the result is the
/// writer's until it is delivered, then the awaiting side's; what crosses is under the mutex.
#pragma once

#include <again/coro/scheduler.hpp>
#include <again/journal/store.hpp>
#include <again/sqlite/detail/event_table.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

class store_request {
 public:
  store_request(const store_request&) = delete;
  store_request& operator=(const store_request&) = delete;

  void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Does it, and keeps the result; it may be done again after it was rolled back. Does not throw.
  virtual void perform(event_table& table) noexcept = 0;
  /// The error, where the result is one. Null: it is none.
  virtual const journal::error* failed() const noexcept = 0;
  /// It ended half-way: what it has changed has to be rolled back.
  virtual bool broke() const noexcept = 0;
  /// Replaces the result.
  virtual void fail(const journal::error& why) noexcept = 0;
  /// The result reached nobody: the request that undoes what must not stay so; null: there is none.
  virtual store_request* undone() noexcept { return nullptr; }

  /// Before it is submitted.
  void deliver_to(scheduler& loop, work& done) noexcept {
    loop_ = &loop;
    done_ = &done;
  }
  /// From now on nothing is handed over. True: the result was handed over before.
  bool withdraw_receiver() noexcept {
    const std::lock_guard lock{mutex_};
    done_ = nullptr;
    return delivered_;
  }
  /// Tells the awaiting side that the result is there. False: there is none any more.
  bool deliver() noexcept {
    const std::lock_guard lock{mutex_};  // held while posting: the receiver may end as soon as it can be withdrawn
    if (done_ == nullptr) return false;
    delivered_ = true;
    loop_->post(*done_);
    return true;
  }

  wall_time now{};  ///< of the awaiting side's clock
  // The writer's, under its lock.
  store_request* next = nullptr;
  store_request* previous = nullptr;
  bool queued = false;

 protected:
  store_request() noexcept = default;
  virtual ~store_request() = default;

 private:
  std::atomic<int> holders_{1};
  std::mutex mutex_;
  scheduler* loop_ = nullptr;
  work* done_ = nullptr;
  bool delivered_ = false;
};

/// A request whose result is a `stored_result<T>`.
template <class T> class typed_request final : public store_request {
 public:
  using effect = std::function<stored_result<T>(event_table&, wall_time)>;
  explicit typed_request(effect f) : effect_{std::move(f)} {}

  void perform(event_table& table) noexcept override {
    broke_ = true;
    try {
      result_.emplace(effect_(table, now));
      broke_ = false;
    } catch (const sql_failure& f) { fail(f.why); } catch (const std::bad_alloc&) {
      fail_for_want_of_memory();
    }
  }
  bool broke() const noexcept override { return broke_; }
  const journal::error* failed() const noexcept override { return result_ && !*result_ ? &result_->error() : nullptr; }
  void fail(const journal::error& why) noexcept override {
    try {
      result_.emplace(unexpect, why);
    } catch (const std::bad_alloc&) { fail_for_want_of_memory(); }
  }
  store_request* undone() noexcept override {
    if constexpr (std::is_same_v<T, journal::taken>) {
      if (!result_ || !*result_ || (*result_)->events.empty()) return nullptr;
      try {
        return new typed_request<void>{[events = std::move((*result_)->events)](event_table& table, wall_time) {
          table.give_back(events);
          return stored_result<void>{};
        }};
      } catch (const std::bad_alloc&) { return nullptr; }  // the leases end by themselves
    } else {
      return nullptr;
    }
  }
  /// After it was delivered.
  stored_result<T> take_result() { return std::move(*result_); }

 private:
  void fail_for_want_of_memory() noexcept { result_.emplace(unexpect, journal::error{journal::error_kind::shortage}); }

  effect effect_;
  std::optional<stored_result<T>> result_;
  bool broke_ = false;
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
