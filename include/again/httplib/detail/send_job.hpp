// SPDX-License-Identifier: MIT
/// \file
/// `send_job`: one attempt between the coroutine that awaits it and the worker that makes it. Shared by the two, because
/// either may be gone first: an abandoned attempt ends on its own, a finished one waits to be taken.
#pragma once

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
class lane;

/// Where the result goes: lives in the awaiting side, which takes itself out of the job before it dies.
struct send_receiver {
  again::work* done = nullptr;
  again::scheduler* scheduler = nullptr;
  std::optional<send_result> result;
};

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
  /// Hands over, if anybody still waits. Any thread; only for whom `stop` says that the result is theirs to give. Gives the
  /// scheduler that the calling thread has to run now, if it has time and was lent one; else null.
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
  cancel_switch stop;

  // The pool's, under its lock.
  send_job* next = nullptr;
  send_job* previous = nullptr;
  lane* home = nullptr;
  httplib_connection* lent = nullptr;  ///< an idle connection, owned until the worker takes it over
  enum class places : unsigned char { nowhere, waiting, runnable, running } place = places::nowhere;

 private:
  ~send_job() = default;

  std::atomic<int> holders_{1};
  std::mutex mutex_;
  send_receiver* receiver_ = nullptr;
};

/// An intrusive queue of jobs.
class job_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  send_job* first() const noexcept { return first_; }
  void push_back(send_job& j) noexcept {
    j.next = nullptr;
    j.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &j;
    last_ = &j;
  }
  void remove(send_job& j) noexcept {
    (j.previous != nullptr ? j.previous->next : first_) = j.next;
    (j.next != nullptr ? j.next->previous : last_) = j.previous;
    j.next = j.previous = nullptr;
  }
  /// Moves all of `other` to the end of this one.
  void take(job_list& other) noexcept {
    while (send_job* const j = other.first()) {
      other.remove(*j);
      push_back(*j);
    }
  }

 private:
  send_job* first_ = nullptr;
  send_job* last_ = nullptr;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
