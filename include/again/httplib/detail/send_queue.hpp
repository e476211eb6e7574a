// SPDX-License-Identifier: MIT
/// \file
/// `send_queue`: which job of a pool runs next.
#pragma once

#include <again/httplib/detail/origin_queue.hpp>
#include <again/httplib/detail/send_job.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// A job runs with one worker and one connection. Jobs above an origin's limit of connections wait in its own queue, so that a
/// slow origin cannot take the workers from the others. Jobs above the number of workers wait in one queue for all.
///
/// Guarded by the pool's lock. Owns the idle connections; of the jobs, the pool has a share until it releases them.
class send_queue {
 public:
  using steady = std::chrono::steady_clock;
  using connection = idle_connections::connection;

  /// `most_waiting`: jobs that may wait for a connection or a worker. `most_connections`: per origin.
  send_queue(std::size_t most_waiting, std::size_t most_connections)
      : most_waiting_{most_waiting}, most_connections_{most_connections} {}

  bool has_room() const noexcept { return waiting_ < most_waiting_; }
  bool has_connection_for(const origin_queue& q) const noexcept { return q.in_use < most_connections_; }

  void wait_for_connection(send_job& j) {
    j.home->waiting.push(j);
    j.state = send_job::states::waiting;
    ++waiting_;
  }
  /// It has a connection, or may open one, and waits for the next worker that is free.
  void wait_for_worker(send_job& j) {
    runnable_.push(j);
    j.state = send_job::states::runnable;
    ++waiting_;
  }
  void begin(send_job& j) {
    running_.push(j);
    j.state = send_job::states::running;
    j.connection = j.home->idle.take().release();
  }
  /// There was no worker for it.
  void undo_begin(send_job& j) {
    running_.remove(j);
    j.state = send_job::states::outside;
    if (connection back{std::exchange(j.connection, nullptr)}) j.home->idle.put(std::move(back), true);
  }
  /// The first that waits for a worker begins; null if none waits.
  send_job* begin_next() {
    send_job* const j = runnable_.pop();
    if (j == nullptr) return nullptr;
    --waiting_;
    begin(*j);
    return j;
  }
  /// Moves out the idle connections opened before `when`: of the job's origin, or `all`.
  void take_older(const send_job& j, steady::time_point when, bool all, std::vector<connection>& into) {
    if (when == steady::time_point{}) return;
    all ? origins.take_older(when, into) : j.home->idle.take_older(when, into);
  }
  /// It has run. `kept`: its connection, to be used again; null: none.
  void end(send_job& j, connection kept, bool open) {
    running_.remove(j);
    j.state = send_job::states::outside;
    if (kept) j.home->idle.put(std::move(kept), open);
    free_connection(*j.home);
  }
  /// Takes back one that has not begun. False: it has.
  bool withdraw(send_job& j) {
    switch (j.state) {
      case send_job::states::waiting: j.home->waiting.remove(j); break;
      case send_job::states::runnable:
        runnable_.remove(j);
        free_connection(*j.home);
        break;
      default: return false;
    }
    --waiting_;
    j.state = send_job::states::outside;
    return true;
  }
  /// Moves out all that have not begun.
  void take_waiting(job_list& into) {
    into.append(runnable_);
    origins.take_waiting(into);
    for (send_job* j = into.front(); j != nullptr; j = job_list::after(*j)) j->state = send_job::states::outside;
    waiting_ = 0;
  }
  const job_list& running() const noexcept { return running_; }

  origin_queues origins;

 private:
  /// The next of that origin may begin.
  void free_connection(origin_queue& q) {
    --q.in_use;
    send_job* const next = q.waiting.pop();
    if (next == nullptr) return;
    --waiting_;
    ++q.in_use;
    wait_for_worker(*next);  // the worker that frees the connection is about to look there, or all were busy
  }

  const std::size_t most_waiting_, most_connections_;
  std::size_t waiting_ = 0;  // in runnable_ and in the queues of the origins
  job_list runnable_, running_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
