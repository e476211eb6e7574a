// SPDX-License-Identifier: MIT
/// \file
/// `send_job`: one attempt between the coroutine that awaits it and the pool that makes it.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/core/detail/work.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/transport.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// Where the result goes. Owned by the awaiting side, which withdraws it from the job before it dies.
struct send_receiver {
  again::work* done = nullptr;
  again::scheduler* scheduler = nullptr;
  std::optional<http::send_result> result;
};

/// Why an attempt is stopped, as its awaiting side sees it.
struct stop_request {
  http::error_kind kind = http::error_kind::cancelled;
  const char* text = "";
};

/// Defined where the attempt is.
struct attempt_deleter {
  void operator()(class attempt* a) const noexcept;
};

/// Owned by both sides together, because either may be gone first: an abandoned attempt ends by itself, a finished one waits to be
/// taken. Threads: as said at each member.
class send_job {
 public:
  send_job(std::shared_ptr<const http::outgoing> w, int n) : what{std::move(w)}, number{n} {}
  send_job(const send_job&) = delete;
  send_job& operator=(const send_job&) = delete;

  void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Before the job is submitted.
  void deliver_to(send_receiver& r) noexcept {
    receiver_ = &r;
    awaited_on = r.scheduler;
  }
  /// From now on nothing is handed over. Returns when what was just being handed over is there.
  void withdraw_receiver() noexcept {
    const std::lock_guard lock{mutex_};
    receiver_ = nullptr;
  }
  /// Hands over, if the awaiting side still waits. The pool's turns.
  void deliver(http::send_result&& result) noexcept {
    const std::lock_guard lock{mutex_};  // held while posting: the receiver may die as soon as it can be withdrawn
    send_receiver* const r = std::exchange(receiver_, nullptr);
    if (r == nullptr) return;
    r->result.emplace(std::move(result));
    r->scheduler->post(*r->done);
  }

  /// The first that stops it wins. Any thread.
  bool stop_first(const stop_request& why) noexcept {
    if (stopped_.exchange(true, std::memory_order_relaxed)) return false;
    why_ = why;
    return true;
  }
  /// Once the pool was told of it.
  const stop_request& why() const noexcept { return why_; }

  const std::shared_ptr<const http::outgoing> what;
  const int number;

  const scheduler* awaited_on = nullptr;  ///< only to be compared; constant once it is submitted

  // The pool's: under its lock until it has arrived, then in its turns.
  send_job* next = nullptr;
  send_job* previous = nullptr;
  struct origin_entry* home = nullptr;
  enum class states : unsigned char { outside, waiting, starved, running, over } state = states::outside;
  std::unique_ptr<attempt, attempt_deleter> running;
  /// In the list of those that the pool has to stop.
  struct stop_node {
    explicit stop_node(send_job& j) noexcept : job{j} {}
    send_job& job;
    stop_node* next = nullptr;
    stop_node* previous = nullptr;
  } stopping{*this};

 private:
  ~send_job() = default;

  std::atomic<int> holders_{1};
  std::atomic<bool> stopped_{false};
  stop_request why_;
  std::mutex mutex_;
  send_receiver* receiver_ = nullptr;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
