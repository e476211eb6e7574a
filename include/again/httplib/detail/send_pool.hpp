// SPDX-License-Identifier: MIT
/// \file
/// `send_pool`: bounded worker threads that make attempts, with a bounded queue in front.
#pragma once

#include <again/httplib/detail/dead_fd.hpp>
#include <again/httplib/detail/origin_queues.hpp>
#include <again/httplib/detail/resolver.hpp>
#include <again/httplib/detail/send_job.hpp>
#include <again/httplib/detail/worker.hpp>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
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
  duration keep_idle{};
  duration keep_at_most{};
  route via;
  std::string certificates;
  resolver::look_up_function look_up;
  std::size_t look_ups = 2;
};

/// An attempt takes one worker and one connection for as long as it runs. Jobs above an origin's limit wait in its lane, so
/// that a slow origin cannot take the workers from the others; jobs above the number of workers wait in one queue.
class send_pool : public std::enable_shared_from_this<send_pool> {
 public:
  using steady = std::chrono::steady_clock;

  explicit send_pool(pool_settings s)
      : settings_{std::move(s)}, roots_{settings_.certificates}, resolver_{settings_.look_up, settings_.look_ups} {}
  send_pool(const send_pool&) = delete;
  send_pool& operator=(const send_pool&) = delete;
  ~send_pool() { shut_down(); }

  enum class admission { accepted, overloaded, closed };

  /// Takes a share of `j` if accepted. Any thread.
  admission submit(send_job& j) {
    std::unique_lock lock{mutex_};
    if (closed_) return admission::closed;
    lane& home = lanes_.of(j.what->origin);
    const bool must_wait = home.in_use >= settings_.connections;
    const bool can_start = !must_wait && (idle_ != nullptr || workers_.size() < settings_.workers);
    if (!can_start && queued_ >= settings_.queue) return admission::overloaded;
    j.hold();
    j.home = &home;
    if (must_wait) {
      home.waiting.push_back(j);
      j.place = send_job::places::waiting;
      ++queued_;
      return admission::accepted;
    }
    ++home.in_use;
    if (idle_ != nullptr) {  // the one that worked last, whose cache is warm
      worker& w = *std::exchange(idle_, idle_->next_idle);
      begin(j);
      lock.unlock();
      w.tell(&j);
    } else if (!start_worker(j)) {
      if (workers_.empty()) {  // there are no threads to be had at all
        --home.in_use;
        j.release();
        return admission::overloaded;
      }
      enqueue(j);
    }
    return admission::accepted;
  }

  /// Takes `j` back if no worker has it yet. Any thread.
  void withdraw(send_job& j) {
    const std::lock_guard lock{mutex_};
    if (j.place == send_job::places::waiting) {
      j.home->waiting.remove(j);
    } else if (j.place == send_job::places::runnable) {
      runnable_.remove(j);
      leave_lane(*j.home);
    } else {
      return;
    }
    --queued_;
    j.place = send_job::places::nowhere;
    j.release();
  }

  /// Origins of which something is kept.
  std::size_t origins_known() const {
    const std::lock_guard lock{mutex_};
    return lanes_.size();
  }

  /// Refuses what comes, cancels what waits and runs (each gets its result), and joins the workers. A worker that runs a
  /// borrowed loop may call it too: that one ends when it comes back from there.
  void shut_down() {
    std::unique_lock lock{mutex_};
    closed_ = true;
    while (idle_ != nullptr) std::exchange(idle_, idle_->next_idle)->tell(nullptr);
    job_list refused;
    refused.take(runnable_);
    lanes_.take_waiting(refused);
    for (send_job* j = refused.first(); j != nullptr; j = j->next) j->place = send_job::places::nowhere;
    queued_ = 0;
    lock.unlock();  // a job's lock is never taken inside ours
    while (send_job* j = refused.first()) {
      refused.remove(*j);
      if (j->stop.settle(reach::not_sent) == cancel_switch::by::nobody) j->deliver(cancelled(reach::not_sent));
      j->release();
    }
    worker* const mine = own_worker();
    if (send_job* const j = mine != nullptr ? mine->take() : nullptr) {  // told, and not begun
      lane::connection c{std::exchange(j->lent, nullptr)};
      conclude(*mine, *j, c, cancelled(reach::not_sent));
      j->release();
    }
    lock.lock();
    // Again and again: an interruption between the opening of a socket and its connect() is lost on the kernel.
    while (running_.first() != nullptr) {
      for (send_job* j = running_.first(); j != nullptr; j = j->next)
        static_cast<void>(j->stop.raise(cancel_switch::by::pool));
      left_.wait_for(lock, std::chrono::milliseconds{10});
    }
    std::vector<std::unique_ptr<worker>> workers = std::move(workers_);
    workers_.clear();
    std::vector<lane::connection> connections;
    lanes_.take_all(connections);
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

 private:
  using worker = send_worker;
  static send_result cancelled(reach r) {
    return unexpected<send_failure>{send_failure{error_kind::cancelled, r, "the client was destroyed"}};
  }

  /// The calling thread, if it is one of ours. Not while another thread shuts down.
  worker* own_worker() const noexcept {
    for (const auto& w : workers_) {
      if (w.get() == worker::of_this_thread) return w.get();
    }
    return nullptr;
  }

  // ── under the lock ──

  void begin(send_job& j) {
    running_.push_back(j);
    j.place = send_job::places::running;
    j.lent = j.home->take_idle().release();
  }
  /// For the next worker that is free: there is none that is idle while anything stands here.
  void enqueue(send_job& j) {
    runnable_.push_back(j);
    j.place = send_job::places::runnable;
    ++queued_;
  }
  bool start_worker(send_job& first) {
    if (workers_.size() >= settings_.workers) return false;
    workers_.push_back(std::make_unique<worker>());
    worker& w = *workers_.back();
    begin(first);
    w.tell(&first);
    try {
      w.thread = std::thread{[this, &w] { work(w); }};
    } catch (const std::system_error&) {
      running_.remove(first);
      if (lane::connection back{std::exchange(first.lent, nullptr)}) first.home->put_idle(std::move(back), true);
      workers_.pop_back();
      return false;
    }
    return true;
  }
  void leave_lane(lane& l) {
    --l.in_use;
    send_job* const next = l.waiting.first();
    if (next == nullptr) return;
    l.waiting.remove(*next);
    --queued_;
    ++l.in_use;
    enqueue(*next);  // whoever leaves is about to look there, or was waiting there
  }
  /// How long a worker may sleep before it looks after idle connections.
  duration patience() const { return lanes_.have_idle() ? settings_.keep_idle : forever; }
  /// A worker has time: for a job that waits, or it is idle (true), or everything is over.
  bool goes_free(worker& me) {
    if (closed_) {
      me.over = true;
      left_.notify_all();
      return false;
    }
    if (send_job* const j = runnable_.first()) {
      runnable_.remove(*j);
      --queued_;
      begin(*j);
      me.next = j;
      return false;
    }
    me.patience = patience();
    me.next_idle = std::exchange(idle_, &me);
    return true;
  }
  void close_stale(std::unique_lock<std::mutex>& lock) {
    std::vector<lane::connection> stale;
    lanes_.take_stale(steady::now(), settings_.keep_idle, settings_.keep_at_most, stale);
    if (stale.empty()) return;
    lock.unlock();
    stale.clear();
    lock.lock();
  }

  // ── the workers ──

  void work(worker& me) {
    // A write to a connection that the peer has reset must not kill the process; the library's own flags do not reach OpenSSL.
    ::sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    worker::of_this_thread = &me;
    send_job* j = sleep(me);  // the first one is told before the thread starts
    while (j != nullptr) {
      lane::connection c{std::exchange(j->lent, nullptr)};
      make(me, *j, c);
      j->release();
      if (me.borrowed != nullptr) {
        const auto alive = shared_from_this();  // what runs now may destroy the client
        std::exchange(me.borrowed, nullptr)->run_shared(me.told);
        if (last_ != nullptr && last_.get() == &me) return;
      }
      j = me.next != nullptr ? std::exchange(me.next, nullptr) : me.over ? nullptr : sleep(me);
    }
  }

  /// Until there is a job. Null: there will be none.
  send_job* sleep(worker& me) {
    for (;;) {
      send_job* told = nullptr;
      if (me.wait(me.patience, told)) return told;
      std::unique_lock lock{mutex_};
      close_stale(lock);
      me.patience = patience();
    }
  }

  void make(worker& me, send_job& j, lane::connection& c) noexcept {
    const outgoing& what = *j.what;
    try {
      if (c && (steady::now() - c->idle_since() >= settings_.keep_idle ||
                steady::now() - c->opened_at() >= settings_.keep_at_most)) {
        c->close();
      }
      if (!c) c = std::make_unique<httplib_connection>(what.origin, settings_.via, roots_, dead_fd_.fd());
      std::optional<body::reader> content;
      if (!what.request.body().absent()) {
        auto opened = what.open_body();
        if (!opened) {
          return conclude(me, j, c,
                          unexpected<send_failure>{
                              send_failure{error_kind::invalid_request, reach::not_sent, opened.error().reason()}});
        }
        content.emplace(std::move(*opened));
      }
      try_addresses(me, j, c, content);
    } catch (const std::exception& e) {  // out of memory
      c.reset();
      conclude(me, j, c, unexpected<send_failure>{send_failure{error_kind::overloaded, reach::maybe_sent, e.what()}});
    } catch (...) {
      c.reset();
      conclude(me, j, c,
               unexpected<send_failure>{send_failure{error_kind::overloaded, reach::maybe_sent, "an exception"}});
    }
  }

  void try_addresses(worker& me, send_job& j, lane::connection& c, std::optional<body::reader>& content) {
    const outgoing& what = *j.what;
    lane& home = *j.home;
    std::vector<std::string> addresses(1);
    c->prepare();
    const std::string& name = settings_.via.host_to_resolve(what.origin);
    if (!c->open() && !name.empty()) {
      const duration patience = std::min<duration>({what.limits.total, what.limits.connect, std::chrono::hours{24}});
      resolved found = resolver_.resolve(name, steady::now() + patience, j.stop);
      if (found.addresses.empty()) {
        keep_unread(what, content);
        return conclude(me, j, c,
                        unexpected<send_failure>{
                            send_failure{error_kind::resolve, reach::not_sent, "'" + name + "': " + found.reason}});
      }
      addresses = std::move(found.addresses);
      const std::lock_guard lock{mutex_};
      home.order(addresses);
    }
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      if (i > 0) c->prepare();
      const bool fresh = !c->open();
      cancel_switch::phase phase{
          j.stop,
          {[](void* watch) noexcept { return static_cast<socket_watch*>(watch)->interrupt(); }, &c->watch()},
          reach::maybe_sent};
      if (!phase.entered()) {
        keep_unread(what, content);
        return conclude(me, j, c, cancelled(reach::not_sent));
      }
      send_result r = c->attempt(what, j.number, addresses[i], content ? &*content : nullptr);
      const bool no_connection =
          !r && r.error().reach == reach::not_sent &&
          (r.error().kind == error_kind::refused || r.error().kind == error_kind::connect_timeout);
      // One that gives no response is no better than one that refuses; only of one that was not given the time nothing is known.
      const auto stopped = j.stop.raised();
      if (!c->address().empty() && (stopped == cancel_switch::by::nobody || stopped == cancel_switch::by::bound)) {
        const bool good = r || r.error().reach == reach::answered;
        if (fresh || !good) {
          const std::lock_guard lock{mutex_};
          good ? home.worked(c->address()) : home.failed(c->address());
        }
      }
      // Refused at once and not a byte sent: the next address belongs to the same attempt. A silent one has used up its time.
      if (no_connection && r.error().kind == error_kind::refused && i + 1 < addresses.size()) {
        phase.harmless();
        continue;
      }
      if (!r && r.error().reach == reach::not_sent && !c->content_touched()) keep_unread(what, content);
      return conclude(me, j, c,
                      std::move(r));  // inside the phase: no moment in which a stop would find nothing to know
    }
  }

  /// A body that can be had once and was not touched is there for the next attempt.
  static void keep_unread(const outgoing& what, std::optional<body::reader>& content) {
    if (content && !what.request.body().replayable()) what.give_back(std::move(*content));
  }

  /// Puts the connection back, lets the next job begin, and only then delivers: whoever sends again at once finds the connection.
  void conclude(worker& me, send_job& j, lane::connection& c, send_result r) noexcept {
    const reach far = r ? reach::answered : r.error().reach;
    // First of all: a stop that comes later must neither say that less was sent, nor reach for a connection that is not ours any more.
    const auto stopped = j.stop.settle(far);
    if (c && stopped != cancel_switch::by::nobody) c->close();  // it is broken, or about to be found so
    const bool open = c && c->open();
    const bool keep = open || (c && c->costly());
    if (!keep) c.reset();
    bool idle = false;
    {
      const std::lock_guard lock{mutex_};
      running_.remove(j);
      j.place = send_job::places::nowhere;
      if (keep && !closed_) j.home->put_idle(std::move(c), open);
      leave_lane(*j.home);
      // Before the result is delivered: whoever sends again at once finds a worker that is still awake.
      idle = goes_free(me);
    }
    if (stopped == cancel_switch::by::awaiter || stopped == cancel_switch::by::bound) return;  // there is a result
    if (stopped == cancel_switch::by::pool) r = cancelled(far);  // what we cut off ourselves is no response
    me.borrowed = j.deliver(std::move(r), idle);
  }

  const pool_settings settings_;
  const dead_fd dead_fd_;
  tls_roots roots_;
  resolver resolver_;
  mutable std::mutex mutex_;
  std::condition_variable left_;
  lanes lanes_;
  job_list runnable_, running_;
  std::size_t queued_ = 0;  // in runnable_ and in the lanes
  bool closed_ = false;
  std::vector<std::unique_ptr<worker>> workers_;
  worker* idle_ = nullptr;        // the last to fall asleep first
  std::unique_ptr<worker> last_;  // ended the pool itself
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
