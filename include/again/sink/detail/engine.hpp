// SPDX-License-Identifier: MIT
/// \file
/// `sink_engine`: the way of an event through a sink. It is accepted, waits for its turn, is sent to its endpoints, and ends.
/// One loop, one thread.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/http/transport.hpp>
#include <again/retry/retry.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/endpoint_delivery.hpp>
#include <again/sink/detail/endpoint_worker.hpp>
#include <again/sink/detail/pending_delivery.hpp>
#include <again/sink/detail/tracked_event.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <http::transport T> class sink_engine {
 public:
  sink_engine(T& through, std::vector<endpoint> endpoints, sink_options o) : state_{std::move(o)} {
    if (const auto wrong = validate(endpoints, state_.options)) throw std::invalid_argument{"again::sink: " + *wrong};
    for (endpoint& e : endpoints) {
      endpoint_numbers& counted = state_.numbers.add_endpoint(shown_name(e));
      all_.push_back(workers_.size());
      workers_.emplace_back(through, std::move(e), state_.options, counted);
    }
  }
  sink_engine(const sink_engine&) = delete;
  sink_engine& operator=(const sink_engine&) = delete;
  ~sink_engine() {
    assert(pending_.count.active() == 0 && "again::sink: destroyed with deliveries under way; await close() first");
  }

  pending_delivery deliver(event e, bool may_wait) { return {pending_, run(std::move(e), may_wait)}; }

  task<> close(duration grace) {
    state_.intake.close();
    const bool drained = co_await pending_.count.wait_until_idle(grace, true);
    if (!drained) {
      pending_.stop.request_stop();
      [[maybe_unused]] const bool gone = co_await pending_.count.wait_until_idle(forever, false);
    }
  }

  bool closed() const noexcept { return state_.intake.closed(); }
  const sink_numbers& numbers() const noexcept { return state_.numbers; }

 private:
  task<delivery> run(event e, bool may_wait) {
    const context& here = co_await get_context();
    const targets to = targets_of(e);  // throws before anything is accepted
    const bool rotating = rotates(e);
    tracked_event in{state_, here, std::move(e), rotating ? nullptr : &to};

    sink_numbers& numbers = state_.numbers;
    if (closed()) co_return in.refuse(numbers.closed, stop_reason::cancelled_before_start);
    bool room = state_.intake.try_acquire();
    if (!room && !may_wait) {
      in.given_back = true;
      co_return in.refuse(numbers.overloaded, stop_reason::overloaded);
    }
    if (!room) room = co_await state_.intake.acquire();
    if (!room) co_return in.refuse(closed() ? numbers.closed : numbers.cancelled, cancelled_before_start(here));
    in.accept();

    bool turn = true;
    if (state_.options.order == ordering::per_key && !in.result.event.order_key.empty()) {
      in.turn().enter(state_.keys, in.result.event.order_key);
      turn = co_await in.turn().wait();
      if (turn) in.turn().begin();
    }
    if (turn) turn = co_await state_.running.acquire();
    if (!turn) co_return in.end_before_start(cancelled_before_start(here));
    in.begin();

    const http::body content{in.result.event.body};
    if (rotating || to.size() == 1) {
      in.result.outcomes.push_back(co_await deliver_to(in.result.event, content, to.front(), rotating ? &to : nullptr));
    } else {
      std::vector<task<endpoint_outcome>> each;
      each.reserve(to.size());
      for (const std::size_t at : to) each.push_back(deliver_to(in.result.event, content, at, nullptr));
      in.result.outcomes = co_await when_all(std::move(each));
    }
    co_return in.end();
  }

  // One for each endpoint that an event goes to.
  task<endpoint_outcome> deliver_to(const event& e, const http::body& content, std::size_t at,
                                    const targets* rotating) {
    const context& here = co_await get_context();
    bool in = false;
    if (rotating != nullptr) at = pick(*rotating, in);
    if (!in) in = co_await workers_[at].permits.acquire();
    if (!in) {
      co_return endpoint_outcome{
          workers_[at].numbers.name,
          endpoint_outcome::result_type{unexpect, failure<http::error>{{.reason = cancelled_before_start(here)}}}, 0,
          duration::zero(), attempt_trace{}};
    }
    endpoint_delivery<T> event_here{workers_, state_.options, e, content, at, rotating};
    const auto send = [&event_here] { return event_here.next(); };
    const auto see = [&event_here](const attempt_record& r) { event_here.seen(r); };
    const time_point start = here.scheduler->now();
    auto result = co_await retry(workers_[at].policy, send).observe(see);
    co_return event_here.outcome(std::move(result), here.scheduler->now() - start);
  }

  // The next in turn that has a permit, which is taken; where none has, the next in turn.
  std::size_t pick(const targets& among, bool& in) noexcept {
    const std::size_t first = next_;
    for (std::size_t i = 0; i < among.size(); ++i) {
      const std::size_t at = among[(first + i) % among.size()];
      if (!workers_[at].permits.try_acquire()) continue;
      next_ = first + i + 1;
      in = true;
      return at;
    }
    ++next_;
    return among[first % among.size()];
  }

  // Does any one endpoint do?
  bool rotates(const event& e) const {
    return !state_.options.choose && state_.options.routing == routing::round_robin && e.only.empty();
  }

  targets targets_of(const event& e) const {
    targets to = state_.options.choose ? state_.options.choose(e) : all_;
    if (to.empty()) throw std::invalid_argument{"again::sink: no endpoint was chosen"};
    for (const std::size_t at : to)
      if (at >= workers_.size()) throw std::out_of_range{"again::sink: there is no endpoint " + std::to_string(at)};
    if (e.only.empty()) return to;
    for (const std::string& wanted : e.only) {
      if (std::none_of(to.begin(), to.end(), [&](std::size_t at) { return name_of(at) == wanted; }))
        throw std::invalid_argument{"again::sink: no endpoint is called " + wanted};
    }
    std::erase_if(to,
                  [&](std::size_t at) { return std::find(e.only.begin(), e.only.end(), name_of(at)) == e.only.end(); });
    return to;
  }
  const std::string& name_of(std::size_t at) const noexcept { return workers_[at].numbers.name; }

  static stop_reason cancelled_before_start(const context& here) noexcept {
    return stopped_at(here.scheduler->now(), here, stop_reason::cancelled_before_start);
  }

  sink_state state_;
  endpoint_workers<T> workers_;
  targets all_;
  std::size_t next_ = 0;  // whose turn it is
  pending_deliveries pending_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
