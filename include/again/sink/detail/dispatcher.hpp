// SPDX-License-Identifier: MIT
/// \file
/// `dispatcher`: which attempt is sent next, and where. It knows the bounds (in all, and at each endpoint), which endpoints are closed
/// (paused, disabled, with an open circuit breaker), and the attempts that wait.
///
/// - An attempt holds a place only while it is under way; between attempts a delivery holds none.
/// - An attempt for one endpoint waits in the line of that endpoint; an attempt in turns waits in a line for all of them. Retries go
///   before first attempts, else it is first come, first served.
/// - Each endpoint that is not closed has an equal share of the places. It may use what the others leave beyond half of theirs.
/// - While no attempt may be sent to an endpoint, it takes part in no turn. A retry that could not be sent before its deadline ends at
///   once. A first attempt waits for the end of a pause, and for a circuit breaker as long as its delivery may take. Nothing waits for a
///   disabled endpoint, nor, where a store keeps the events, for one that is paused by hand.
/// - An attempt that would be sent where the event was sent before needs a token of the retry budget, and waits for it.
/// - Where a sink has several endpoints, the attempts that wait for a closed one (where a store keeps the events, also for a slow one) are
///   at most a share of all: the others go on.
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
#include <again/sink/detail/endpoint_gate.hpp>
#include <again/sink/detail/endpoint_gates.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class dispatcher {
 public:
  explicit dispatcher(const sink_options& o)
      : observer_{o.observer},
        gates_{largest_share(o)},
        places_{static_cast<std::size_t>(o.in_flight)},
        free_{places_} {}
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;
  ~dispatcher() = default;

  void add_endpoint(const endpoint& e, endpoint_numbers& numbers) { gates_.add(*this, e, numbers); }
  /// The scheduler on which deliveries run. Called again with the same one.
  void run_on(scheduler& home) noexcept { home_ = &home; }
  /// Null: none is known yet.
  scheduler* home() const noexcept { return home_; }

  /// Awaited, it gives a permit, or the reason why there is none.
  attempt_waiter enter(const attempt_request& asks) noexcept { return {*this, asks}; }
  /// May attempts be sent to another endpoint than `at`?
  bool another_available(std::size_t at) const noexcept {
    return gates_.size() - gates_.closed > (gates_[at].closed() ? 0U : 1U);
  }
  bool available(std::size_t at) const noexcept { return !gates_[at].closed(); }
  bool disabled(std::size_t at) const noexcept { return gates_[at].health.disabled(); }

  // For `endpoint_control`.

  std::size_t endpoints() const noexcept { return gates_.size(); }
  const std::string& name_of(std::size_t at) const noexcept { return gates_[at].numbers.name; }
  endpoint_status status(std::size_t at) const;
  template <class Change> void change(std::size_t at, Change make) {
    make(gates_[at]);
    look_at(gates_[at]);
  }
  /// A store keeps the events: those that would wait until an endpoint is resumed are refused, and so are those that would take up more
  /// than a share.
  void keep_waiting_short() noexcept { gates_.gives_back = true; }
  std::function<void()> on_change;  // of a state; what it throws is dropped

 private:
  friend class attempt_waiter;
  friend class attempt_permit;
  friend class endpoint_gate;
  using gate = endpoint_gate;
  using lines = attempt_lines;
  using line = lines::line;

  // ── an attempt comes, and may go ──

  // True: the result is there.
  bool begin(attempt_waiter& w) noexcept {
    run_on(*w.context_->scheduler);
    const time_point now = home_->now();
    if (w.context_->stop.stop_requested())
      return refuse(w, stopped_at(now, *w.context_, stop_reason::cancelled_before_start));
    if (admit_at_once(w, now)) return true;
    if (const auto why = gates_.turned_away(w)) return refuse(w, *why);
    if (gates_.shut_for(w) && w.asks_.retry && !gates_.held_for(w) && gates_.opens_for(w) >= w.context_->deadline &&
        w.context_->deadline != never)
      return refuse(w, gates_.why_shut(w));
    if (w.asks_.rotating == nullptr) {
      const gate& g = gates_[w.asks_.at];
      if (gates_.crowded(g, 1) || (!w.asks_.retry && gates_.stalled(g, now))) return refuse(w, gates_.why_crowded(w));
    }
    w.since_ = now;
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
      if (!gates_.accepts(w, at) || !admit(w, at, now)) continue;
      turn = (at + 1) % gates_.size();
      return true;
    }
    return false;
  }
  bool admit(attempt_waiter& w, std::size_t at, time_point now) noexcept {
    gate& g = gates_[at];
    if (!g.has_room() || !gates_.leaves_room(g, places_, free_) || !affordable(w, g, at, now)) return false;
    if (!g.in_time(now)) {
      paced_ = true;
      return false;
    }
    breaker::permit outcome;
    const bool may = g.health.admit(now, outcome);
    show(g, now);
    if (!may) return false;
    g.begin(gates_.repeats(w, at), now);
    --free_;
    w.result_.permit.from_ = this;
    w.result_.permit.at_ = at;
    w.result_.permit.outcome_ = std::move(outcome);
    return true;
  }
  static bool refuse(attempt_waiter& w, stop_reason why) noexcept {
    w.result_.why = why;
    return true;
  }
  bool affordable(const attempt_waiter& w, gate& g, std::size_t at, time_point now) noexcept {
    if (!gates_.repeats(w, at) || g.may_repeat(now)) return true;
    paced_ = true;
    return false;
  }

  // ── an attempt waits ──

  lines& lines_of(const attempt_waiter& w) noexcept {
    return w.asks_.rotating != nullptr ? rotating_ : gates_[w.asks_.at].lines;
  }
  line& line_of(const attempt_waiter& w) noexcept {
    lines& all = lines_of(w);
    return w.asks_.retry ? all.retries : all.firsts;
  }
  void join(attempt_waiter& w) noexcept {
    line_of(w).push(w);
    w.in_line_ = true;
    ++waiting_;
    if (w.asks_.rotating == nullptr) ++gates_[w.asks_.at].waiting;
  }
  void leave(attempt_waiter& w) noexcept {
    line_of(w).remove(w);
    w.in_line_ = false;
    --waiting_;
    if (w.asks_.rotating == nullptr) --gates_[w.asks_.at].waiting;
  }
  // A retry has the deadline of its delivery, which comes as a stop. A first attempt has none: it waits for a place, and for the end of a
  // pause, which the endpoint itself has named; but for a circuit breaker, of which nobody knows when it closes, only so long.
  void wait(attempt_waiter& w, time_point now) noexcept {
    if (w.asks_.retry || !gates_.breaker_shuts(w)) {
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
    refuse(w, !late                     ? stop_reason::cancelled_before_start
              : gates_.shut_for(w)      ? gates_.why_shut(w)
              : gates_.too_dear(w, now) ? stop_reason::budget_exhausted
                                        : stop_reason::deadline_reached);
    set_timers(now);
  }

  // Refuses those for which `why` has a reason.
  template <class Why> void refuse_some(lines& from, Why why) noexcept {
    for (line* const all : {&from.retries, &from.firsts}) {
      for (attempt_waiter* w = all->front(); w != nullptr;) {
        attempt_waiter* const after = line::after(*w);
        if (const std::optional<stop_reason> reason = why(*w)) {
          refuse(*w, *reason);
          call(*w);
        }
        w = after;
      }
    }
  }
  // Refuses those beyond the share; the oldest ones stay.
  void thin_out(gate& g) noexcept {
    std::size_t before = 0;
    refuse_some(g.lines, [&](const attempt_waiter& w) -> std::optional<stop_reason> {
      return ++before > gates_.most_waiting ? std::optional{gates_.why_crowded(w)} : std::nullopt;
    });
  }

  // ── an attempt has ended, or time has passed ──

  void release(std::size_t at) noexcept {
    gates_[at].end();
    ++free_;
    look_at(gates_[at]);
  }
  void look_at(gate& g) noexcept {
    show(g, home_ != nullptr ? home_->now() : time_point{});
    dispatch();
  }
  // Gives permits as long as there is an endpoint with room and an attempt that may go there. First attempts in turns come last, and
  // have their own turn: else the endpoint that retries avoid would get more of them than the others.
  void dispatch() noexcept {
    if (waiting_ == 0) return;
    const time_point now = home_->now();
    for (std::size_t idle = 0; free_ > 0 && waiting_ > 0 && idle < gates_.size();) {
      attempt_waiter* const w = next_for(retry_turn_, now);
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
  attempt_waiter* next_for(std::size_t at, time_point now) noexcept {
    gate& g = gates_[at];
    if (attempt_waiter* const w = g.lines.retries.front(); w != nullptr && affordable(*w, g, at, now)) return w;
    for (attempt_waiter* w = rotating_.retries.front(); w != nullptr; w = line::after(*w))
      if (gates_.accepts(*w, at) && affordable(*w, g, at, now)) return w;
    return g.lines.firsts.front();
  }
  // The result of `w` is there.
  void call(attempt_waiter& w) noexcept {
    leave(w);
    w.wait_.call();
  }

  // Notices a change of state, refuses those that may not wait for it, gives first attempts a bound where they are shut out, and tells
  // the observer.
  void show(gate& g, time_point now) noexcept {
    const endpoint_state is = g.health.state(now);
    const endpoint_reason why = g.health.reason(now);
    if (is == g.shown && why == g.reason) return;
    const bool was_closed = g.closed(), all_were_closed = gates_.closed == gates_.size();
    endpoint_change change{.endpoint = g.numbers.name, .from = g.shown, .to = is, .reason = why};
    if (is != endpoint_state::available && is != endpoint_state::probing) {
      change.wait = g.health.held() ? forever : g.health.opens_at() - now;
      change.last_error = g.last_error;
    }
    g.shown = is;
    g.reason = why;
    if (home_ != nullptr) g.since = now;
    g.numbers.changed(is, why);
    if (was_closed != g.closed()) gates_.closed += g.closed() ? 1 : std::size_t(-1);
    if (g.health.held()) {
      const auto away = [this](const attempt_waiter& w) { return gates_.turned_away(w); };
      refuse_some(g.lines, away);
      refuse_some(rotating_, away);
    }
    if (gates_.crowded(g, 0)) thin_out(g);
    wait_again(g.lines.firsts, now);
    if (all_were_closed || gates_.closed == gates_.size()) wait_again(rotating_.firsts, now);
    tell(change);
  }
  // What they throw has no delivery that could end with it.
  void tell(const endpoint_change& c) noexcept {
    try {
      if (observer_ != nullptr) observer_->changed(c);
    } catch (...) {}
    try {
      if (on_change) on_change();
    } catch (...) {}
  }
  void wait_again(line& all, time_point now) noexcept {
    for (attempt_waiter* w = all.front(); w != nullptr; w = line::after(*w)) wait(*w, now);
  }
  void set_timers(time_point now) noexcept {
    if (gates_.closed == 0 && !paced_ && !timers_) return;
    timers_ = paced_ = false;
    for (gate& g : gates_) {
      const bool waited_for = !g.lines.empty() || !rotating_.empty();
      const time_point next = waited_for ? g.next_chance(now, !rotating_.retries.empty()) : never;
      if (next == never || next <= now) {
        home_->disarm(g);
        continue;
      }
      timers_ = true;
      if (g.armed() && g.when == next) continue;
      home_->disarm(g);
      home_->arm(g, next);
    }
  }

  delivery_observer* const observer_;
  scheduler* home_ = nullptr;  // from the first event on
  endpoint_gates gates_;
  lines rotating_;
  const std::size_t places_;
  std::size_t free_;  // of them
  std::size_t waiting_ = 0;
  std::size_t turn_ = 0;        // the endpoint whose turn it is, of first attempts
  std::size_t retry_turn_ = 0;  // of all others
  bool timers_ = false;         // one may be armed
  bool paced_ = false;          // a rate or a budget keeps an attempt back
};

// ── definitions ──

inline endpoint_status dispatcher::status(std::size_t at) const {
  const gate& g = gates_[at];
  const time_point now = home_ != nullptr ? home_->now() : time_point{};
  const auto on_the_wall = [&](time_point t) {
    if (t == never || home_ == nullptr) return wall_time::max();
    return home_->wall_now() + (t - now);
  };
  endpoint_status s{g.numbers.name, g.health.state(now), g.health.reason(now)};
  s.last_error = g.last_error;
  if (g.since) s.since = on_the_wall(*g.since);
  if (g.health.opens_at() > now) s.until = on_the_wall(g.health.opens_at());
  s.failing_since = on_the_wall(g.health.failing_since());
  return s;
}

inline void endpoint_gate::woken(timer& t) noexcept { static_cast<endpoint_gate&>(t).owner.dispatch(); }

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
  from_->gates_[at_].health.succeeded(from_->home_->now(), outcome_);
  abandon();
}
inline void attempt_permit::failed(const verdict& v, int code, std::string error) noexcept {
  from_->gates_[at_].failed(v, code, std::move(error), from_->home_->now(), outcome_);
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
