// SPDX-License-Identifier: MIT
/// \file
/// `pool`: what a transport owns: its connections, bounded for each origin, and the attempts that run or wait for one.
///
/// Who runs it: the turns of the loop's scheduler (asio/detail/executor_scheduler.hpp), so that it needs no lock and no strand. What
/// comes from elsewhere (an attempt of a coroutine on another loop, a stop request, the end of the transport) is put into lists under
/// `mutex_`, and a turn takes it from there.
///
/// Nothing of it keeps the loop at work but attempts: the timer that closes idle connections runs while one is in flight.
/// A connection that is still idle then is closed when the next attempt looks at it, or with the transport.
///
/// Ends: `shut_down` is the transport's; `context_ends` comes from the execution context that is destroyed first.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/beast/detail/attempt.hpp>
#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/library.hpp>
#include <again/beast/detail/origins.hpp>
#include <again/beast/detail/resources.hpp>
#include <again/beast/detail/send_job.hpp>
#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/core/detail/work.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

class pool;

/// The pools of one execution context, which it owns as one of its services: they must let go of it before it is gone. Any thread.
class context_pools final : public net::execution_context::service {
 public:
  using key_type = context_pools;
  static inline net::execution_context::id id;

  explicit context_pools(net::execution_context& owner) : net::execution_context::service{owner} {}
  context_pools(const context_pools&) = delete;
  context_pools& operator=(const context_pools&) = delete;
  ~context_pools() override = default;

  void add(const std::shared_ptr<pool>& p) {
    const std::lock_guard lock{mutex_};
    std::erase_if(pools_, [](const auto& known) { return known.expired(); });
    pools_.push_back(p);
  }

 private:
  void shutdown() noexcept override;

  std::mutex mutex_;
  std::vector<std::weak_ptr<pool>> pools_;
};

class pool final : public std::enable_shared_from_this<pool>, attempt_owner {
 public:
  /// Throws what the options say, and std::logic_error if the context of `ex` is being destroyed. `own`: nothing else keeps that loop.
  static std::shared_ptr<pool> make(const net::any_io_executor& ex, pool_settings&& s, bool own) {
    net::execution_context& context = net::query(ex, net::execution::context);
    executor_scheduler* const loop =
        asio::detail::scheduler_for(ex);  // before `context_pools`, which is shut down first
    if (loop == nullptr) throw std::logic_error{"again::beast::transport: the execution context is being destroyed"};
    auto p = std::make_shared<pool>(token{}, *loop, std::move(s), own);
    net::use_service<context_pools>(context).add(p);
    return p;
  }

 private:
  struct token {};

 public:
  pool(token /*only make*/, executor_scheduler& loop, pool_settings&& s, bool own)
      : loop_{loop},
        own_{own},
        most_waiting_{s.queue},
        most_connections_{s.connections},
        origins_{s.keep_idle, s.keep_at_most},
        shared_{loop, std::move(s)} {
    arrival_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->collect(); };
    advance_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->advance(); };
    arrival_.self = advance_.self = sweep_.self = this;
    sweep_.fire = [](timer& t) noexcept { static_cast<own_timer&>(t).self->sweep(); };
  }
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() {
    if (!gone_) loop_.remove_user();
  }

  // ── the awaiting side; any thread ──

  /// Takes a share of `j`, which gets its result in any case.
  void submit(send_job& j) noexcept {
    j.hold();
    if (loop_is(j)) {
      admit(j);
      return;
    }
    {
      const std::lock_guard lock{mutex_};
      if (!gone_) {
        arrived_.push(j);
        return wake();
      }
    }
    give_up(j, http::error_kind::cancelled, gone);
  }
  /// `why` it is no longer waited for, or not for its result.
  void stop(send_job& j, const stop_request& why) noexcept {
    if (!j.stop_first(why)) return;
    const std::lock_guard lock{mutex_};
    if (gone_) return;
    j.hold();
    stopping_.push(j.stopping);
    wake();
  }
  /// The transport is destroyed: whatever runs is cancelled, and all connections are closed, in a turn soon.
  void shut_down() noexcept {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    wake();
  }
  /// The context is destroyed; no other thread uses it.
  void context_ends() noexcept {
    const std::shared_ptr<pool> alive = shared_from_this();
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
    }
    loop_.forget(arrival_);
    collect();
    loop_.forget(advance_);
    shared_.connections.abandon();
    const std::lock_guard lock{mutex_};
    gone_ = true;
    loop_.remove_user();
  }

 private:
  static constexpr const char* gone = "the client was destroyed";
  struct own_work : work {
    pool* self = nullptr;
  };
  struct own_timer : timer {
    pool* self = nullptr;
  };

  /// Does the calling thread run our loop, for an attempt that is awaited on it?
  bool loop_is(const send_job& j) const noexcept { return j.awaited_on == &loop_; }
  /// Under the lock.
  void wake() noexcept {
    if (gone_ || while_posted_) return;
    while_posted_ = shared_from_this();
    loop_.post(arrival_);
  }

  // ── in turns of the loop ──

  void collect() noexcept {
    again::detail::intrusive_list<send_job> arrived;
    again::detail::intrusive_list<send_job::stop_node> stopping;
    std::shared_ptr<pool> alive;
    bool closed = false;
    {
      const std::lock_guard lock{mutex_};
      alive = std::move(while_posted_);
      arrived.append(arrived_);
      stopping.append(stopping_);
      closed = closed_;
    }
    // Stops come first: what leaves the queue makes room for what arrives, and what is not wanted any more is not begun.
    while (send_job::stop_node* const n = stopping.pop()) {
      if (n->job.state == send_job::states::outside) {
        arrived.remove(n->job);
        give_up(n->job, n->job.why().kind, n->job.why().text);
      } else {
        stop_now(n->job);
      }
      n->job.release();
    }
    while (send_job* const j = arrived.pop()) admit(*j);
    if (closed) close_all();
  }
  void close_all() noexcept {
    shut_ = true;
    again::detail::intrusive_list<send_job> all;
    origins_.take_waiting(all);
    all.append(starved_);
    waiting_ = 0;
    while (send_job* const j = all.pop()) {
      if (j->running) {
        resume(*j);
      } else {
        give_up(*j, http::error_kind::cancelled, gone);
      }
    }
    while (send_job* const j = running_.front()) j->running->shut_down();
    while (to_advance_.pop() != nullptr) {}
    loop_.forget(advance_);  // it does not keep the pool alive
    origins_.clear();
    loop_.disarm(sweep_);
  }

  void admit(send_job& j) noexcept {
    if (shut_) return give_up(j, http::error_kind::cancelled, gone);
    try {
      j.home = &origins_.of(j.what->origin);
    } catch (const std::exception&) { return give_up(j, http::error_kind::shortage, ""); }
    if (j.home->in_use < most_connections_) return begin(j);
    if (waiting_ >= most_waiting_)
      return give_up(j, http::error_kind::overloaded, "no connection is free, and the queue is full");
    ++waiting_;
    j.state = send_job::states::waiting;
    j.home->waiting.push(j);
  }
  void begin(send_job& j) noexcept {
    try {
      j.running.reset(new attempt{shared_, static_cast<attempt_owner&>(*this), shared_from_this(), j});
    } catch (const std::exception&) { return give_up(j, http::error_kind::shortage, ""); }
    ++j.home->in_use;
    j.state = send_job::states::running;
    running_.push(j);
    j.running->begin();
  }
  void stop_now(send_job& j) noexcept {
    switch (j.state) {
      case send_job::states::waiting:
        j.home->waiting.remove(j);
        --waiting_;
        return give_up(j, j.why().kind, j.why().text);
      case send_job::states::starved:
        starved_.remove(j);
        resume(j);
        return j.running->stop();
      case send_job::states::running: return j.running->stop();
      default: return;  // it has its result
    }
  }
  void resume(send_job& j) noexcept {
    running_.push(j);
    j.state = send_job::states::running;
  }
  /// Of an attempt that has not begun.
  static void give_up(send_job& j, http::error_kind kind, const char* text) noexcept {
    http::send_failure f{kind, reach::not_sent, {}};
    try {
      f.detail = text;
    } catch (const std::exception&) {}  // the kind has to do
    j.state = send_job::states::over;
    j.deliver(unexpected<http::send_failure>{std::move(f)});
    j.release();
  }

  // ── attempt_owner ──

  std::shared_ptr<connection> take_idle(origin_entry& home, time_point now) noexcept override {
    return origins_.take_idle(home, now);
  }
  void finished(send_job& j, http::send_result&& r, std::shared_ptr<connection> keep) noexcept override {
    if (j.state == send_job::states::starved) {
      starved_.remove(j);
    } else {
      running_.remove(j);
    }
    j.state = send_job::states::over;
    origin_entry& home = *j.home;
    if (keep && !shut_) {
      origins_.put_idle(home, keep, loop_.last_wake());
    } else if (keep) {
      keep->close();
    }
    j.deliver(std::move(r));
    j.running = nullptr;
    j.release();
    --home.in_use;
    if (!home.waiting.empty() || !starved_.empty()) advance_later(home);
    if (own_ || !running_.empty()) {
      if (!sweep_.armed() && !home.idle.empty()) loop_.arm(sweep_, origins_.due(*home.idle.back()));
    } else {
      loop_.disarm(sweep_);
    }
  }
  /// Not at once: an attempt that ends as it begins would begin the next one inside itself.
  void advance_later(origin_entry& home) noexcept {
    if (std::exchange(home.to_advance, true)) return;
    to_advance_.push(home);
    if (advance_.queued == work::state::idle) loop_.post(advance_);
  }
  void advance() noexcept {
    const std::shared_ptr<pool> alive = shared_from_this();
    while (origin_entry* const home = to_advance_.pop()) {
      home->to_advance = false;
      while (home->in_use < most_connections_ && !home->waiting.empty()) {
        --waiting_;
        begin(*home->waiting.pop());
      }
      if (send_job* const j = starved_.pop()) {
        resume(*j);
        j->running->begin();
      }
    }
  }
  descriptor lacks_descriptor(send_job& j) noexcept override {
    if (origins_.close_longest_idle()) return descriptor::freed;
    running_.remove(j);
    if (running_.empty()) {
      running_.push(j);
      return descriptor::none;
    }
    j.state = send_job::states::starved;
    starved_.push(j);
    return descriptor::awaited;
  }
  void suspect(origin_entry& home, time_point when) noexcept override {
    origins_.close_older(home, when, shared_.via.one_peer());
  }

  void sweep() noexcept {
    const time_point next = origins_.sweep(loop_.last_wake());
    if (next != never && (own_ || !running_.empty())) loop_.arm(sweep_, next);
  }

  executor_scheduler& loop_;
  const bool own_;
  const std::size_t most_waiting_, most_connections_;
  origins origins_;
  resources shared_;
  std::size_t waiting_ = 0;                          // in the queues of the origins
  again::detail::intrusive_list<send_job> running_;  // and those that wait for nothing of ours
  again::detail::intrusive_list<send_job> starved_;  // each waits for a descriptor
  again::detail::intrusive_list<origin_entry> to_advance_;
  own_work arrival_, advance_;
  own_timer sweep_;
  bool shut_ = false;

  std::mutex mutex_;  // guards what follows
  again::detail::intrusive_list<send_job> arrived_;
  again::detail::intrusive_list<send_job::stop_node> stopping_;
  std::shared_ptr<pool> while_posted_;  // `arrival_` is
  bool closed_ = false, gone_ = false;
};

inline void context_pools::shutdown() noexcept {
  std::vector<std::weak_ptr<pool>> all;
  {
    const std::lock_guard lock{mutex_};
    all.swap(pools_);
  }
  for (const auto& known : all)
    if (const auto p = known.lock()) p->context_ends();
}

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
