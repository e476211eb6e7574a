// SPDX-License-Identifier: MIT
/// \file
/// `dispatcher`: which attempt is sent next, and where. It knows the bounds (in all, and at each endpoint), which endpoints are paused
/// or have an open circuit breaker, and the attempts that wait.
///
/// - An attempt holds a place only while it is under way; between attempts a delivery holds none.
/// - An attempt for one endpoint waits in the line of that endpoint; an attempt in turns waits in a line for all of them. Retries go
///   before first attempts, else it is first come, first served.
/// - While no attempt may be sent to an endpoint, it takes part in no turn. A retry that could not be sent before its deadline ends at
///   once. A first attempt waits for the end of a pause, and for a circuit breaker as long as its delivery may take.
/// - Where a sink has several endpoints, the attempts that wait for a closed one are at most a share of all: the others go on.
///
/// Owned by the sink. One loop, one thread. Timers run only while attempts wait.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/scheduler.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/detail/attempt_waiter.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/detail/endpoint_health.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class dispatcher {
 public:
  explicit dispatcher(const sink_options& o)
      : observer_{o.observer}, free_{static_cast<std::size_t>(o.in_flight)}, most_waiting_{largest_share(o)} {}
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;
  ~dispatcher() = default;

  void add_endpoint(const endpoint& e, endpoint_numbers& numbers) { gates_.emplace_back(*this, e, numbers); }

  /// Awaited, it gives a permit, or the reason why there is none.
  attempt_waiter enter(const attempt_request& asks) noexcept { return {*this, asks}; }
  /// May attempts be sent to another endpoint than `at`?
  bool another_available(std::size_t at) const noexcept {
    return gates_.size() - closed_ > (gates_[at].closed() ? 0U : 1U);
  }
  bool available(std::size_t at) const noexcept { return !gates_[at].closed(); }

 private:
  friend class attempt_waiter;
  friend class attempt_permit;
  using line = intrusive_list<attempt_waiter>;
  struct lines {
    line retries, firsts;
    bool empty() const noexcept { return retries.empty() && firsts.empty(); }
    line& of(const attempt_waiter& w) noexcept { return w.asks_.retry ? retries : firsts; }
  };

  // An endpoint. Its timer wakes the dispatcher when attempts may be sent there again.
  struct gate : timer {
    gate(dispatcher& d, const endpoint& e, endpoint_numbers& n)
        : owner{d},
          places{static_cast<std::size_t>(e.in_flight)},
          longest_pause{std::min<duration>(e.rules.max_retry_after, e.policy.server_delay_max)},
          health{e.breaker},
          numbers{n} {
      fire = [](timer& t) noexcept { static_cast<gate&>(t).owner.dispatch(); };
    }
    bool closed() const noexcept { return shown != endpoint_state::available; }
    bool has_room() const noexcept { return taken < places; }

    dispatcher& owner;
    const std::size_t places;
    std::size_t taken = 0;
    std::size_t waiting = 0;  // in `lines`
    const duration longest_pause;
    endpoint_health health;
    endpoint_state shown = endpoint_state::available;
    endpoint_numbers& numbers;
    detail::dispatcher::lines lines;
  };

  // ── an attempt comes, and may go ──

  // True: the result is there.
  bool begin(attempt_waiter& w) noexcept {
    home_ = w.context_->scheduler;
    const time_point now = home_->now();
    if (w.context_->stop.stop_requested())
      return refuse(w, stopped_at(now, *w.context_, stop_reason::cancelled_before_start));
    if (admit_at_once(w, now)) return true;
    if (shut_for(w)) {
      if (w.asks_.retry && opens_for(w) >= w.context_->deadline && w.context_->deadline != never)
        return refuse(w, why_shut(w));
      if (w.asks_.rotating == nullptr && crowded(gates_[w.asks_.at], 1)) return refuse(w, why_crowded(w));
    }
    join(w);
    wait(w, now);
    set_timers(now);
    return false;
  }
  bool admit_at_once(attempt_waiter& w, time_point now) noexcept {
    if (free_ == 0) return false;
    if (w.asks_.rotating == nullptr) return admit(w, w.asks_.at, now);
    return admit_in_turn(w, w.asks_.retry ? retry_turn_ : turn_, now);
  }
  // The first endpoint from `turn` on that it may go to, and that has room.
  bool admit_in_turn(attempt_waiter& w, std::size_t& turn, time_point now) noexcept {
    for (std::size_t i = 0; i < gates_.size(); ++i) {
      const std::size_t at = (turn + i) % gates_.size();
      if (!accepts(w, at) || !admit(w, at, now)) continue;
      turn = (at + 1) % gates_.size();
      return true;
    }
    return false;
  }
  bool admit(attempt_waiter& w, std::size_t at, time_point now) noexcept {
    gate& g = gates_[at];
    if (!g.has_room()) return false;
    breaker::permit outcome;
    const bool may = g.health.admit(now, outcome);
    show(g, now);
    if (!may) return false;
    ++g.taken;
    --free_;
    g.numbers.in_flight.add(1);
    w.result_.permit.from_ = this;
    w.result_.permit.at_ = at;
    w.result_.permit.outcome_ = std::move(outcome);
    return true;
  }
  static bool refuse(attempt_waiter& w, stop_reason why) noexcept {
    w.result_.why = why;
    return true;
  }

  // ── an attempt waits ──

  lines& lines_of(const attempt_waiter& w) noexcept {
    return w.asks_.rotating != nullptr ? rotating_ : gates_[w.asks_.at].lines;
  }
  void join(attempt_waiter& w) noexcept {
    lines_of(w).of(w).push(w);
    w.in_line_ = true;
    ++waiting_;
    if (w.asks_.rotating == nullptr) ++gates_[w.asks_.at].waiting;
  }
  void leave(attempt_waiter& w) noexcept {
    lines_of(w).of(w).remove(w);
    w.in_line_ = false;
    --waiting_;
    if (w.asks_.rotating == nullptr) --gates_[w.asks_.at].waiting;
  }
  // A retry has the deadline of its delivery, which comes as a stop. A first attempt has none: it waits for a place, and for the end of a
  // pause, which the endpoint itself has named; but for a circuit breaker, of which nobody knows when it closes, only so long.
  void wait(attempt_waiter& w, time_point now) noexcept {
    if (w.asks_.retry || !breaker_shuts(w)) {
      w.until_ = never;
    } else if (w.until_ == never) {
      w.until_ = saturating_add(now, w.asks_.patience);
    }
    w.wait_.cancel();
    w.wait_.begin(*w.context_, w.until_, {&attempt_waiter::woken, &w});
  }
  // The wait of `w` is over without a permit.
  void give_up(attempt_waiter& w) noexcept {
    leave(w);
    const time_point now = home_->now();
    const bool late = w.wait_.ended() == wait_end::elapsed || w.context_->deadline <= now;
    refuse(w, !late ? stop_reason::cancelled_before_start : shut_for(w) ? why_shut(w) : stop_reason::deadline_reached);
    set_timers(now);
  }

  bool accepts(const attempt_waiter& w, std::size_t at) const noexcept {
    const rotation& r = *w.asks_.rotating;
    if (!r.tried(at)) return true;
    for (std::size_t i = 0; i < gates_.size(); ++i)
      if (!r.tried(i) && !gates_[i].closed()) return false;  // it waits for that one
    return true;
  }
  bool shut_for(const attempt_waiter& w) const noexcept {
    return w.asks_.rotating != nullptr ? closed_ == gates_.size() : gates_[w.asks_.at].closed();
  }
  time_point opens_for(const attempt_waiter& w) const noexcept {
    if (w.asks_.rotating == nullptr) return gates_[w.asks_.at].health.opens_at();
    time_point first = never;
    for (const gate& g : gates_) first = std::min(first, g.health.opens_at());
    return first;
  }
  // Is there nothing to wait for but the end of circuit breakers?
  bool breaker_shuts(const attempt_waiter& w) const noexcept {
    const auto by_breaker = [](const gate& g) { return g.closed() && g.shown != endpoint_state::paused; };
    return w.asks_.rotating == nullptr ? by_breaker(gates_[w.asks_.at])
                                       : std::all_of(gates_.begin(), gates_.end(), by_breaker);
  }
  stop_reason why_shut(const attempt_waiter& w) const noexcept {
    return breaker_shuts(w) ? stop_reason::breaker_open : stop_reason::deadline_too_near;
  }
  // More attempts than their share of the sink wait for an endpoint, with so many `more`?
  bool crowded(const gate& g, std::size_t more) const noexcept {
    return gates_.size() > 1 && g.closed() && g.waiting + more > most_waiting_;
  }
  stop_reason why_crowded(const attempt_waiter& w) const noexcept {
    return breaker_shuts(w) ? stop_reason::breaker_open : stop_reason::overloaded;
  }
  // Refuses those beyond the share; the oldest ones stay.
  void thin_out(gate& g) noexcept {
    std::size_t before = 0;
    for (line* const all : {&g.lines.retries, &g.lines.firsts}) {
      for (attempt_waiter* w = all->front(); w != nullptr;) {
        attempt_waiter* const after = line::after(*w);
        if (++before > most_waiting_) {
          refuse(*w, why_crowded(*w));
          call(*w);
        }
        w = after;
      }
    }
  }

  // ── an attempt has ended, or time has passed ──

  void release(std::size_t at) noexcept {
    gate& g = gates_[at];
    --g.taken;
    ++free_;
    g.numbers.in_flight.add(-1);
    show(g, home_->now());
    dispatch();
  }
  // Gives permits as long as there is an endpoint with room and an attempt that may go there. First attempts in turns come last, and
  // have their own turn: else the endpoint that retries avoid would get more of them than the others.
  void dispatch() noexcept {
    if (waiting_ == 0) return;
    const time_point now = home_->now();
    for (std::size_t idle = 0; free_ > 0 && waiting_ > 0 && idle < gates_.size();) {
      attempt_waiter* const w = next_for(retry_turn_);
      const bool sent = w != nullptr && admit(*w, retry_turn_, now);
      if (sent) call(*w);
      idle = sent ? 0 : idle + 1;
      retry_turn_ = (retry_turn_ + 1) % gates_.size();
    }
    while (free_ > 0 && !rotating_.firsts.empty()) {
      attempt_waiter& w = *rotating_.firsts.front();
      if (!admit_in_turn(w, turn_, now)) break;
      call(w);
    }
    set_timers(now);
  }
  attempt_waiter* next_for(std::size_t at) noexcept {
    lines& own = gates_[at].lines;
    if (attempt_waiter* const w = own.retries.front()) return w;
    for (attempt_waiter* w = rotating_.retries.front(); w != nullptr; w = line::after(*w))
      if (accepts(*w, at)) return w;
    return own.firsts.front();
  }
  // The result of `w` is there.
  void call(attempt_waiter& w) noexcept {
    leave(w);
    w.wait_.call();
  }

  // Notices a change of state, refuses what is beyond its share, gives first attempts a bound where they are shut out, and tells the
  // observer.
  void show(gate& g, time_point now) noexcept {
    const endpoint_state is = g.health.state(now);
    if (is == g.shown) return;
    const bool was_closed = g.closed(), all_were_closed = closed_ == gates_.size();
    const endpoint_change change{g.numbers.name, g.shown, is,
                                 is == endpoint_state::paused || is == endpoint_state::breaker_open
                                     ? g.health.opens_at() - now
                                     : duration::zero()};
    g.shown = is;
    g.numbers.changed(is);
    if (was_closed != g.closed()) closed_ += g.closed() ? 1 : std::size_t(-1);
    if (crowded(g, 0)) thin_out(g);
    wait_again(g.lines.firsts, now);
    if (all_were_closed || closed_ == gates_.size()) wait_again(rotating_.firsts, now);
    if (observer_ == nullptr) return;
    try {
      observer_->changed(change);
    } catch (...) {  // it has no delivery that could end with it
    }
  }
  void wait_again(line& all, time_point now) noexcept {
    for (attempt_waiter* w = all.front(); w != nullptr; w = line::after(*w)) wait(*w, now);
  }
  void set_timers(time_point now) noexcept {
    if (closed_ == 0 && !timers_) return;
    timers_ = false;
    for (gate& g : gates_) {
      const bool wanted = g.closed() && (!g.lines.empty() || !rotating_.empty()) && g.health.opens_at() > now;
      if (wanted) {
        timers_ = true;
        if (g.armed() && g.when == g.health.opens_at()) continue;
        home_->disarm(g);
        home_->arm(g, g.health.opens_at());
      } else {
        home_->disarm(g);
      }
    }
  }

  delivery_observer* const observer_;
  scheduler* home_ = nullptr;  // from the first attempt on
  std::deque<gate> gates_;
  lines rotating_;
  std::size_t free_;  // places in all
  const std::size_t most_waiting_;
  std::size_t waiting_ = 0;
  std::size_t closed_ = 0;      // gates
  std::size_t turn_ = 0;        // the endpoint whose turn it is, of first attempts
  std::size_t retry_turn_ = 0;  // of all others
  bool timers_ = false;         // one may be armed
};

// ── definitions ──

inline attempt_waiter::~attempt_waiter() {
  wait_.cancel();
  if (!in_line_) return;
  from_.leave(*this);
  from_.set_timers(from_.home_->now());
}
inline bool attempt_waiter::start(continuation k, const context& ctx) noexcept {
  k_ = k;
  context_ = &ctx;
  return from_.begin(*this);
}
inline void attempt_waiter::woken(void* p) noexcept {
  attempt_waiter& self = *static_cast<attempt_waiter*>(p);
  if (self.in_line_) self.from_.give_up(self);
  self.k_();
}

inline void attempt_permit::succeeded() noexcept {
  outcome_.succeeded(from_->home_->now());
  abandon();
}
inline void attempt_permit::failed(const verdict& v) noexcept {
  dispatcher::gate& g = from_->gates_[at_];
  g.health.failed(v, g.longest_pause, from_->home_->now(), outcome_);
  abandon();
}
inline void attempt_permit::abandon() noexcept {
  if (from_ == nullptr) return;
  outcome_.abandon();
  std::exchange(from_, nullptr)->release(at_);
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
