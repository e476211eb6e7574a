// SPDX-License-Identifier: MIT
/// \file
/// `durable_sink`: delivers the events of a store through a sink, at least once each, across restarts.
///
/// ```cpp
/// again::sink orders{{{.url = *again::http::parse_url("http://127.0.0.1:8080/orders")}}};
/// again::durable_sink kept{store, orders};              // store: <again/sqlite.hpp>, or any journal::store
/// scope.spawn(kept.run());                              // delivers, until it is closed or stopped
/// auto stored = co_await kept.append(std::move(events));
/// if (stored) respond(202);                             // they are on the disk; else stored.error().text says what to do
/// co_await kept.close(5s);                              // finishes what it can in 5 s, and gives the rest back
/// ```
///
/// - What becomes of an event: it is leased, delivered by the sink, and recorded as done, as dead, or given back until its next delivery. What
///   an endpoint's own policy retries stays inside one delivery; `durable_options::schedule` says when and how often a delivery is made again.
///   A short wait stays in memory; a long one goes to the store, and so does what a server asked for (Retry-After).
/// - Kept over restarts: Idempotency-Key, attempts, first and last attempt, last error, the endpoints that have still to take it, the deadline on
///   the wall clock, the order of each key. What a process that was killed had not recorded is sent again, with the same key.
/// - The sink has no dead letter file: the store keeps what is dead, and a file would get a letter for each delivery that is made again.
/// - Broadcast: an endpoint that has taken an event gets it no more. One that refused it for good (`progress::refused`) makes it dead when
///   the others have theirs.
/// - An event for endpoints that the sink has not is dead, and its reason says so.
/// - A store that fails: nothing is acknowledged; what is leased is delivered, and its results wait for the store (at most `held`). An event
///   whose lease ended meanwhile may be sent by another worker, too.
/// - Closing: `close`, a stop request of `run`, or the closing of the sink ends the taking of events. `close` waits for deliveries for `grace`;
///   what is left, and with a stop request all, is cancelled and given back to the store. A store that fails is waited for
///   (`record_within`); leases that it could not be told of end by themselves.
/// - Threads: one loop: `append`, `run` and `close` are awaited on the same one. Numbers are read from any thread.
/// - Lifetime: store and sink outlive it; it outlives `run`. Where `run` is destroyed instead of closed, leases end by themselves.
/// - Errors: the constructor throws `std::invalid_argument` with a sentence; `run` throws `std::logic_error` where it runs already.
#pragma once

#include <again/core/random.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/journal/detail/bounded_run.hpp>
#include <again/journal/detail/durable_numbers.hpp>
#include <again/journal/detail/free_places.hpp>
#include <again/journal/detail/held_event.hpp>
#include <again/journal/detail/next_step.hpp>
#include <again/journal/detail/tell.hpp>
#include <again/journal/detail/wakeup.hpp>
#include <again/journal/durable_observer.hpp>
#include <again/journal/durable_options.hpp>
#include <again/journal/store.hpp>
#include <again/metrics/page.hpp>
#include <again/sink/delivery.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// `Sink`: a `sink` or `sink_over<…>`.
template <journal::store Store, class Sink> class durable_sink {
 public:
  explicit durable_sink(Store& store, Sink& to, durable_options o = {})
      : store_{store}, sink_{to}, options_{std::move(o)} {
    if (const auto wrong = validate(options_)) throw std::invalid_argument{"again::durable_sink: " + *wrong};
    if (options_.worker.empty())
      options_.worker = std::to_string(detail::process()) + "-" + http::fresh_idempotency_key().substr(0, 8);
  }
  durable_sink(const durable_sink&) = delete;
  durable_sink& operator=(const durable_sink&) = delete;
  ~durable_sink() { assert(!running_ && "again::durable_sink: destroyed while it runs; await close() first"); }

  /// Stores the events, and lets them be delivered.
  task<journal::stored_result<journal::acknowledged>> append(std::vector<journal::new_event> events);
  /// Events were stored by others: they are taken at once, not at the next `poll`.
  void wake() noexcept { held_.changed.wake(); }
  /// Delivers until it is closed or stopped, and every event that was leased has its end or was given back.
  task<> run();
  /// Ends `run`, and waits for its end. A stop request cancels what is left of `grace`.
  task<> close(duration grace);

  // Numbers. Any thread.
  std::uint64_t done() const noexcept { return numbers_.done.value(); }
  std::uint64_t dead() const noexcept { return numbers_.dead.value(); }
  std::uint64_t put_off() const noexcept { return numbers_.put_off.value(); }  ///< given back until a later delivery
  std::uint64_t given_back() const noexcept { return numbers_.given_back.value(); }  ///< at the end
  std::uint64_t lost_leases() const noexcept { return numbers_.lost_leases.value(); }
  /// Results that could not be recorded before the end.
  std::uint64_t unrecorded() const noexcept { return numbers_.unrecorded.value(); }
  std::uint64_t store_errors() const noexcept { return numbers_.store_errors.value(); }
  /// Events that are leased now.
  std::int64_t held() const noexcept { return numbers_.held.value(); }
  /// For `metrics_page::add`.
  void write_to(metrics_page& page) const { numbers_.write_to(page); }

 private:
  using held_event = journal::detail::held_event;
  using next_action = journal::detail::next_action;

  /// While it exists, `run` runs.
  class run_mark {
   public:
    explicit run_mark(durable_sink& of) noexcept : of_{of} { of_.running_ = true; }
    run_mark(const run_mark&) = delete;
    run_mark& operator=(const run_mark&) = delete;
    ~run_mark() {
      of_.running_ = false;
      of_.ended_.wake();
    }

   private:
    durable_sink& of_;
  };

  task<> take_events(scope& deliveries);
  task<> wind_up();
  task<> keep_leases();
  task<> deliver_held(journal::event_record r);
  task<> deliver(held_event& me, journal::event_record& r);
  task<delivery> hand_over(event e) { co_return co_await sink_.deliver(std::move(e)); }
  static task<> rest(duration span) { [[maybe_unused]] const bool slept = co_await sleep_for(span); }
  template <class Call> task<> record(held_event& me, event_end how, Call call, counter& as);
  task<> give_back(held_event& me, journal::event_record& r, wall_time due, delivery* last, counter& as);
  task<> bury(held_event& me, journal::event_record& r, std::string_view why, delivery* last);
  void failed(const journal::error& why) {
    numbers_.store_errors.add();
    journal::detail::tell(options_.observer, why);
  }

  bool over(const context& here) const noexcept { return closing_ || here.stop.stop_requested() || sink_.closed(); }
  Store& store_;
  Sink& sink_;
  durable_options options_;
  journal::detail::durable_numbers numbers_;
  journal::detail::held_events held_{numbers_};
  journal::detail::wakeup ended_;           // `run` has
  inplace_stop_source* give_up_ = nullptr;  // while `run` runs: results are not recorded any more
  std::optional<random_stream> random_;
  bool running_ = false, closing_ = false, stopping_ = false, keeping_ = false;
  time_point grace_until_{};
};

// ── definitions ──

template <journal::store Store, class Sink>
task<journal::stored_result<journal::acknowledged>>
durable_sink<Store, Sink>::append(std::vector<journal::new_event> events) {
  auto got = co_await store_.append(std::move(events));
  if (got) {
    numbers_.appended.add(got->stored);
    numbers_.repeated.add(got->repeated);
    if (got->stored > 0) wake();
  } else {
    numbers_.store_errors.add();
  }
  co_return got;
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::run() {
  const context& here = co_await get_context();
  if (running_) throw std::logic_error{"again::durable_sink: it runs already"};
  const run_mark mark{*this};
  if (!random_) random_.emplace(here.scheduler->seed());
  stopping_ = false;
  inplace_stop_source give_up;
  give_up_ = &give_up;
  context recording;  // not stopped with the caller: what is leased is recorded or given back first
  recording.scheduler = here.scheduler;
  recording.stop = give_up.get_token();
  scope deliveries{recording};
  keeping_ = true;
  deliveries.spawn(keep_leases());
  co_await take_events(deliveries);
  co_await wind_up();
  give_up_ = nullptr;
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::close(duration grace) {
  const context& here = co_await get_context();
  closing_ = true;
  grace_until_ = saturating_add(here.scheduler->now(), grace);
  held_.changed.wake();
  held_.idle.wake();
  bool stopped = false;
  while (running_) {
    co_await ended_.until(never, !stopped);
    if (!running_ || stopped || !here.stop.stop_requested()) continue;
    stopped = true;
    grace_until_ = here.scheduler->now();
    held_.idle.wake();
  }
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::take_events(scope& deliveries) {
  const context& here = co_await get_context();
  scheduler& home = *here.scheduler;
  const journal::worker_lease lease{options_.worker, options_.lease};
  int failures = 0;
  journal::detail::free_places places{options_.held};
  while (!over(here)) {
    const std::size_t room = options_.held - held_.size();
    if (const time_point then = places.worth_a_take(room, held_.more, home.now()); home.now() < then) {
      co_await held_.changed.until(then);
      continue;
    }
    auto got = co_await store_.take(room, lease);
    if (!got) {
      if (over(here)) break;
      failed(got.error());
      const time_point again_at = saturating_add(home.now(), journal::detail::pause(++failures));
      while (!over(here) && home.now() < again_at) co_await held_.changed.until(again_at);
      continue;
    }
    failures = 0;
    held_.more = got->events.size() == room;
    numbers_.taken.add(got->events.size());
    for (journal::event_record& r : got->events) {
      if (held_event* const mine = held_.find(r.event.id)) {  // our lease had ended, and we are still at it
        mine->claim = r.claim();
        mine->lost = false;
      } else {
        deliveries.spawn(deliver_held(std::move(r)));
      }
    }
    if (held_.more) continue;
    duration until_next = options_.poll;
    if (got->next) until_next = std::clamp<duration>(*got->next - home.wall_now(), duration::zero(), until_next);
    co_await held_.changed.until(saturating_add(home.now(), until_next));
  }
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::wind_up() {
  const context& here = co_await get_context();
  scheduler& home = *here.scheduler;
  while (closing_ && held_.size() > 0 && home.now() < grace_until_ && !here.stop.stop_requested()) {
    co_await held_.idle.until(grace_until_);
  }
  stopping_ = true;
  held_.stop_all();
  const time_point last = saturating_add(home.now(), options_.record_within);
  while (held_.size() > 0 && home.now() < last) co_await held_.idle.until(last, false);
  give_up_->request_stop();
  while (held_.size() > 0 || keeping_) co_await held_.idle.until(never, false);
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::keep_leases() {
  const context& here = co_await get_context();
  int failures = 0;
  while (!here.stop.stop_requested()) {
    const duration usual = options_.lease / 3;
    const duration next = failures == 0 ? usual : std::min(usual, journal::detail::pause(failures));
    const bool slept = co_await sleep_for(next);
    if (!slept) break;
    if (held_.size() == 0) continue;
    auto lost = co_await store_.extend(held_.extensions(), options_.lease);
    if (!lost) {
      if (!here.stop.stop_requested()) failed(lost.error());
      ++failures;
      continue;
    }
    failures = 0;
    for (const journal::claim& c : *lost) {
      held_event* const mine = held_.find(c.id);
      if (mine == nullptr || mine->claim != c) continue;
      mine->lost = true;
      mine->stop.request_stop();
    }
  }
  keeping_ = false;
  held_.idle.wake();
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::deliver_held(journal::event_record r) {
  held_event me{held_, r};
  if (stopping_) me.stop.request_stop();
  try {
    co_await deliver(me, r);
  } catch (...) {  // out of memory: the lease ends by itself, and the event is delivered later
    numbers_.unrecorded.add();
  }
}

template <journal::store Store, class Sink> task<> durable_sink<Store, Sink>::deliver(held_event& me,
                                                                                      journal::event_record& r) {
  const context& here = co_await get_context();
  scheduler& home = *here.scheduler;
  journal::progress& p = r.result.progress;
  wall_time due = home.wall_now();
  std::optional<delivery> ended;
  const auto last = [&ended] { return ended ? &*ended : nullptr; };
  for (;;) {
    const wall_time began = home.wall_now();
    if (!me.lost && r.deadline <= began) {
      co_await bury(me, r, name(stop_reason::deadline_reached), last());
      co_return;
    }
    if (me.lost || me.stop.stop_requested()) {
      co_await give_back(me, r, std::max(due, began), last(), numbers_.given_back);
      co_return;
    }
    event e = r.event;
    if (!p.only.empty()) e.only = p.only;
    const time_point until = r.deadline == journal::no_time ? never : saturating_add(home.now(), r.deadline - began);
    std::string refusal;
    ended.reset();
    try {
      task<delivery> way = hand_over(std::move(e));
      ended.emplace(co_await journal::detail::bounded_run<delivery>{std::move(way), me.stop.get_token(), until});
    } catch (const std::logic_error& no_such_endpoint) { refusal = no_such_endpoint.what(); }
    if (!ended) {
      p.last_error = refusal;
      co_await bury(me, r, refusal, nullptr);
      co_return;
    }
    const wall_time now = home.wall_now();
    journal::detail::add(p, *ended, began, now);
    const auto step = journal::detail::after(*ended, p, options_.schedule, r.deadline, now, random_->draw());
    r.result.status = step.status;
    due = step.action == next_action::again ? journal::later_by(now, step.wait) : now;
    switch (step.action) {
      case next_action::done: {
        const auto call = [this, &r](journal::claim c) { return store_.done(std::move(c), r.result); };
        co_await record(me, event_end{r, journal::event_state::done, last()}, call, numbers_.done);
        co_return;
      }
      case next_action::dead: co_await bury(me, r, step.reason, last()); co_return;
      case next_action::give_back: co_await give_back(me, r, due, last(), numbers_.given_back); co_return;
      case next_action::again: break;
    }
    if (step.wait > options_.short_wait) {
      co_await give_back(me, r, due, last(), numbers_.put_off);
      co_return;
    }
    // A short wait: what is known is stored meanwhile; where that fails, a crash forgets these attempts.
    std::vector<journal::extension> noted;
    noted.emplace_back(me.claim, p);
    const auto lost = co_await store_.extend(std::move(noted), options_.lease);
    if (!lost) failed(lost.error());
    if (lost && !lost->empty() && lost->front() == me.claim) {
      me.lost = true;
      continue;
    }
    const duration left = std::max<duration>(due - home.wall_now(), duration::zero());
    co_await journal::detail::bounded_run<void>{rest(left), me.stop.get_token(), never};
  }
}

template <journal::store Store, class Sink> template <class Call>
task<> durable_sink<Store, Sink>::record(held_event& me, event_end how, Call call, counter& as) {
  const context& here = co_await get_context();
  bool waits = false, told = false;
  for (int n = 1;; ++n) {
    const journal::claim used = me.claim;
    const auto recorded = co_await call(used);
    told = recorded.has_value();
    if (told) break;
    if (recorded.error().kind == journal::error_kind::lost_lease) {
      if (me.claim != used) continue;  // it was ours again meanwhile
      numbers_.lost_leases.add();
      break;
    }
    failed(recorded.error());
    if (!std::exchange(waits, true)) numbers_.unreached.add(1);
    const bool slept = co_await sleep_for(journal::detail::pause(n));
    if (slept && !here.stop.stop_requested()) continue;
    numbers_.unrecorded.add();
    break;
  }
  if (waits) numbers_.unreached.add(-1);
  if (!told) co_return;
  as.add();
  co_await journal::detail::tell(options_.observer, how);
}

template <journal::store Store, class Sink>
task<> durable_sink<Store, Sink>::give_back(held_event& me, journal::event_record& r, wall_time due, delivery* last,
                                            counter& as) {
  if (me.lost) {
    numbers_.lost_leases.add();
    co_return;
  }
  r.due = due;
  const auto call = [this, &r](journal::claim c) { return store_.later(std::move(c), r.due, r.result.progress); };
  co_await record(me, event_end{r, journal::event_state::waiting, last}, call, as);
}

template <journal::store Store, class Sink>
task<> durable_sink<Store, Sink>::bury(held_event& me, journal::event_record& r, std::string_view why, delivery* last) {
  r.result.reason = why;
  const auto call = [this, &r](journal::claim c) { return store_.dead(std::move(c), r.result); };
  co_await record(me, event_end{r, journal::event_state::dead, last}, call, numbers_.dead);
}

}  // namespace AGAIN_ABI
}  // namespace again
