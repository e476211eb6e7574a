// SPDX-License-Identifier: MIT
/// \file
/// `send_job`: one attempt between the coroutine that awaits it and the worker that makes it.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/detail/cancel_switch.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

class httplib_connection;
struct origin_queue;

/// Where the result goes. Owned by the awaiting side, which withdraws it from the job before it dies.
struct send_receiver {
  again::work* done = nullptr;
  again::scheduler* scheduler = nullptr;
  std::optional<send_result> result;
};

/// Owned by both sides together, because either may be gone first: an abandoned attempt ends by itself, a finished one waits to be
/// taken. Threads: as said at each member.
class send_job {
 public:
  send_job(std::shared_ptr<const outgoing> w, int n) : what{std::move(w)}, number{n} {}
  send_job(const send_job&) = delete;
  send_job& operator=(const send_job&) = delete;

  void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Before the job is submitted.
  void deliver_to(send_receiver& r) noexcept { receiver_ = &r; }
  /// From now on nothing is handed over. Returns when what was just being handed over is there.
  void withdraw_receiver() noexcept {
    const std::lock_guard lock{mutex_};
    receiver_ = nullptr;
  }
  /// Hands over, if the awaiting side still waits. Any thread, but only the one that ended the attempt by `stop`. Gives the
  /// scheduler that the calling thread has to run now, where it has time and the scheduler is shared with workers; else null.
  scheduler* deliver(send_result&& result, bool has_time = false) {
    const std::lock_guard lock{mutex_};  // held while posting: the receiver may die as soon as it can be withdrawn
    send_receiver* const r = std::exchange(receiver_, nullptr);
    if (r == nullptr) return nullptr;
    again::scheduler* const loop = r->scheduler;
    r->result.emplace(std::move(result));
    if (has_time) return loop->post_or_run(*r->done) ? loop : nullptr;
    loop->post(*r->done);
    return nullptr;
  }

  const std::shared_ptr<const outgoing> what;
  const int number;
  cancel_switch stop;  ///< any thread

  // The pool's, under its lock.
  send_job* next = nullptr;
  send_job* previous = nullptr;
  origin_queue* home = nullptr;
  httplib_connection* connection = nullptr;  ///< one that was idle; owned by the job until the worker takes it over
  enum class states : unsigned char { outside, waiting, runnable, running } state = states::outside;

 private:
  ~send_job() = default;

  std::atomic<int> holders_{1};
  std::mutex mutex_;
  send_receiver* receiver_ = nullptr;
};

using job_list = again::detail::intrusive_list<send_job>;

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
