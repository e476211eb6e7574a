// SPDX-License-Identifier: MIT
/// \file
/// `store_call`: one call of a store, between the coroutine that awaits it and the store's thread.
///
/// Owned by both sides together, because either may be gone first. Threads: arguments and result are the store's thread's from `submit` until
/// the result is delivered, then the awaiting side's; what crosses is under the mutex.
#pragma once

#include <again/coro/scheduler.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/store.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

enum class call_kind : std::uint8_t { append, end, extend, take, find, endpoints, put };

class store_call {
 public:
  store_call(const store_call&) = delete;
  store_call& operator=(const store_call&) = delete;

  void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  const call_kind kind;

  virtual bool ended() const noexcept = 0;
  /// The error, where the result is one.
  virtual const journal::error* failed() const noexcept = 0;
  /// Makes this the result.
  virtual void fail(const journal::error& why) noexcept = 0;
  /// The result reached nobody: the events that it leased.
  virtual std::vector<journal::event_record> unclaimed() noexcept { return {}; }

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
  // The worker's, under its lock.
  store_call* next = nullptr;
  store_call* previous = nullptr;
  bool queued = false;

 protected:
  explicit store_call(call_kind k) noexcept : kind{k} {}
  virtual ~store_call() = default;

 private:
  std::atomic<int> holders_{1};
  std::mutex mutex_;
  scheduler* loop_ = nullptr;
  work* done_ = nullptr;
  bool delivered_ = false;
};

template <class T> class typed_call : public store_call {
 public:
  using value_type = T;
  bool ended() const noexcept final { return result.has_value(); }
  const journal::error* failed() const noexcept final { return result && !*result ? &result->error() : nullptr; }
  void fail(const journal::error& why) noexcept final {
    try {
      result.emplace(unexpect, why);
    } catch (const std::bad_alloc&) { result.emplace(unexpect, journal::error{journal::error_kind::shortage}); }
  }
  std::optional<journal::stored_result<T>> result;

 protected:
  using store_call::store_call;
};

struct append_call final : typed_call<journal::acknowledged> {
  explicit append_call(std::vector<journal::new_event> all) : typed_call{call_kind::append}, events{std::move(all)} {}
  std::vector<journal::new_event> events;
};
struct take_call final : typed_call<journal::taken> {
  take_call(std::size_t most, journal::worker_lease by) : typed_call{call_kind::take}, n{most}, lease{std::move(by)} {}
  std::vector<journal::event_record> unclaimed() noexcept override {
    return result && *result ? std::move((*result)->events) : std::vector<journal::event_record>{};
  }
  std::size_t n;
  journal::worker_lease lease;
};
struct extend_call final : typed_call<std::vector<journal::claim>> {
  explicit extend_call(std::vector<journal::extension> all)
      : typed_call{call_kind::extend}, extensions{std::move(all)} {}
  std::vector<journal::extension> extensions;
};
/// `later`, `done` and `dead`: an event is given back, or finished.
struct end_call final : typed_call<void> {
  end_call(journal::claim c, journal::event_state s, wall_time at, journal::result r)
      : typed_call{call_kind::end}, claim{std::move(c)}, as{s}, due{at}, how{std::move(r)} {}
  journal::claim claim;
  journal::event_state as;
  wall_time due;
  journal::result how;
};
struct find_call final : typed_call<std::optional<journal::event_record>> {
  explicit find_call(std::string what) : typed_call{call_kind::find}, id{std::move(what)} {}
  std::string id;
};
struct endpoints_call final : typed_call<std::vector<journal::endpoint_record>> {
  endpoints_call() : typed_call{call_kind::endpoints} {}
};
struct put_call final : typed_call<std::uint64_t> {
  explicit put_call(journal::endpoint_record r) : typed_call{call_kind::put}, record{std::move(r)} {}
  journal::endpoint_record record;
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
