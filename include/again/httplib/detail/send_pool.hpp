// SPDX-License-Identifier: MIT
/// \file
/// `send_pool`: bounded worker threads that make attempts, with a bounded queue in front.
#pragma once

#include <again/httplib/detail/connect_and_send.hpp>
#include <again/httplib/detail/send_job.hpp>
#include <again/httplib/detail/send_queue.hpp>
#include <again/httplib/detail/worker.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

struct pool_settings {
  std::size_t workers = 64;
  std::size_t queue = 1024;
  std::size_t connections = 64;  ///< per origin
  idle_limits keep;
  route via;
  tls_files certificates;
  resolver::look_up_function look_up;
  std::size_t look_ups = 2;
  duration keep_failed_lookup = std::chrono::seconds{2};
};

/// Owns queue, workers and idle connections. One lock guards them all. It is never held while something blocks; of a job's own
/// locks only that of `stop` is taken inside it, in `shut_down`. The workers call the pool, and one of them may be the thread that
/// ends it (`run_shared_loop`).
class send_pool : public std::enable_shared_from_this<send_pool> {
 public:
  using connection = idle_connections::connection;

  explicit send_pool(pool_settings s)
      : keep_idle_{s.keep.idle},
        shared_{std::move(s.via), s.keep, tls_credentials{s.certificates, "again: httplib_options"},
                resolver{std::move(s.look_up), s.look_ups, {.at_most = s.keep_failed_lookup}},
                descriptor_wait{[this] { return close_longest_idle(); }}},
        queue_{s.queue, s.connections},
        workers_{s.workers} {}
  send_pool(const send_pool&) = delete;
  send_pool& operator=(const send_pool&) = delete;
  ~send_pool() { shut_down(); }

  // ── the awaiting side; any thread ──

  enum class admission { accepted, overloaded, no_thread, closed };

  /// Takes a share of `j` if accepted.
  admission submit(send_job& j) {
    std::unique_lock lock{mutex_};
    if (closed_) return admission::closed;
    origin_queue& home = queue_.origins.of(j.what->origin);
    const bool must_wait = !queue_.has_connection_for(home);
    if ((must_wait || !workers_.available()) && !queue_.has_room()) return admission::overloaded;
    j.hold();
    j.home = &home;
    if (must_wait) {
      queue_.wait_for_connection(j);
      return admission::accepted;
    }
    ++home.in_use;
    if (send_worker* const idle = workers_.take_idle()) {
      queue_.begin(j);
      lock.unlock();
      idle->tell(&j);
      return admission::accepted;
    }
    queue_.begin(j);
    if (workers_.start(j, [this](send_worker& w) { run_worker(*this, w); })) return admission::accepted;
    queue_.undo_begin(j);
    if (workers_.none()) {  // the system has no thread left
      --home.in_use;
      j.release();
      return admission::no_thread;
    }
    queue_.wait_for_worker(j);
    return admission::accepted;
  }

  /// Takes `j` back if no worker has it yet.
  void withdraw(send_job& j) {
    const std::lock_guard lock{mutex_};
    if (queue_.withdraw(j)) j.release();
  }

  /// Refuses what comes, cancels what waits and runs (each gets its result), and joins the workers. A worker that runs a shared
  /// loop may call it too: that one ends when it comes back from there.
  void shut_down() {
    std::unique_lock lock{mutex_};
    closed_ = true;
    workers_.dismiss_idle();
    job_list refused;
    queue_.take_waiting(refused);
    lock.unlock();  // a job's lock is never taken inside ours
    while (send_job* const j = refused.pop()) {
      if (j->stop.settle(reach::not_sent) == cancel_switch::by::none) j->deliver(cancelled(reach::not_sent));
      j->release();
    }
    send_worker* const mine = workers_.of_this_thread();
    if (send_job* const j = mine != nullptr ? mine->take() : nullptr) {  // told, and not begun
      attempt_end end{cancelled(reach::not_sent), j->stop.settle(reach::not_sent)};
      conclude(*mine, *j, connection{std::exchange(j->connection, nullptr)}, std::move(end));
      j->release();
    }
    lock.lock();
    // Again and again: an interruption between the opening of a socket and its connect() is lost on the kernel.
    while (!queue_.running().empty()) {
      for (send_job* j = queue_.running().front(); j != nullptr; j = job_list::after(*j))
        static_cast<void>(j->stop.raise(cancel_switch::by::pool));
      left_.wait_for(lock, std::chrono::milliseconds{10});
    }
    auto workers = workers_.take_all();
    std::vector<connection> idle;
    queue_.origins.take_idle(idle);
    lock.unlock();
    for (auto& w : workers) {
      if (w.get() == mine) {
        w->thread.detach();
        last_ = std::move(w);
      } else {
        w->thread.join();
      }
    }
  }

  /// Origins of which something is kept.
  std::size_t origins_known() const {
    const std::lock_guard lock{mutex_};
    return queue_.origins.size();
  }

  // ── the workers ──

  send_resources& resources() noexcept { return shared_; }

  /// Until there is a job. Null: there will be none. Closes idle connections meanwhile that have got too old.
  send_job* sleep(send_worker& me) {
    for (;;) {
      send_job* told = nullptr;
      if (me.wait(me.patience, told)) return told;
      std::unique_lock lock{mutex_};
      std::vector<connection> stale;
      queue_.origins.take_stale(std::chrono::steady_clock::now(), shared_.keep, stale);
      me.patience = patience();
      lock.unlock();  // and only then they are closed
    }
  }

  /// Puts the connection back and lets the next job begin. Then delivers the result, so that a caller that sends again at once
  /// finds the connection, and a worker that is still awake.
  void conclude(send_worker& me, send_job& j, connection c, attempt_end end) noexcept {
    using by = cancel_switch::by;
    if (c && end.stopped != by::none) c->close();  // it is broken, or about to be found so
    const bool open = c && c->open();
    if (!open && !(c && c->costly())) c.reset();
    bool idle = false;
    {
      std::vector<connection> dropped;  // closed after the lock
      const std::lock_guard lock{mutex_};
      if (closed_) idle_connections::move_to(dropped, c);
      queue_.take_older(j, end.suspect_before, shared_.via.one_peer(), dropped);
      queue_.end(j, std::move(c), open);
      idle = find_next(me);
    }
    if (end.stopped == by::awaiter || end.stopped == by::bound) return;  // there is a result
    const reach far = end.result ? reach::answered : end.result.error().reach;
    if (end.stopped == by::pool) end.result = cancelled(far);  // what we cut off ourselves is no response
    me.loop_to_run = j.deliver(std::move(end.result), idle);
  }

  /// Runs the loop that waits for a thread until it is idle or `me` is told something. False: what ran there has destroyed the
  /// pool, and `me` is about to go.
  bool run_shared_loop(send_worker& me) {
    const auto alive = shared_from_this();
    std::exchange(me.loop_to_run, nullptr)->run_shared(me.told);
    return last_.get() != &me;
  }

 private:
  static send_result cancelled(reach r) noexcept { return unexpected<send_failure>{client_destroyed(r)}; }

  /// False: no connection is idle.
  bool close_longest_idle() {
    std::unique_lock lock{mutex_};
    const connection longest = queue_.origins.take_longest_idle();
    lock.unlock();  // and only then it is closed
    return longest != nullptr;
  }

  // ── under the lock ──

  /// `me` has time: for a job that waits, or it is idle (true), or all is over.
  bool find_next(send_worker& me) {
    if (closed_) {
      me.over = true;
      left_.notify_all();
      return false;
    }
    me.next = queue_.begin_next();
    if (me.next != nullptr) return false;
    me.patience = patience();
    workers_.put_idle(me);
    return true;
  }
  duration patience() const { return queue_.origins.have_idle() ? keep_idle_ : forever; }

  const duration keep_idle_;
  send_resources shared_;
  mutable std::mutex mutex_;
  std::condition_variable left_;
  send_queue queue_;
  bool closed_ = false;
  worker_threads workers_;
  std::unique_ptr<send_worker> last_;  // its thread has ended the pool itself
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
