// SPDX-License-Identifier: MIT
/// \file
/// `sink_engine`: the way of an event through a sink. It is accepted (`tracked_event`), waits for its turn (`key_turn`), is sent to its
/// endpoints (`endpoint_delivery`), each attempt when it may (`dispatcher`), and ends with its result. One loop, one thread.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/http/transport.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/endpoint_delivery.hpp>
#include <again/sink/detail/endpoint_worker.hpp>
#include <again/sink/detail/pending_delivery.hpp>
#include <again/sink/detail/tracked_event.hpp>
#include <again/sink/endpoint_control.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <optional>
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
      patience_ = std::max<duration>(patience_, e.policy.deadline);
      state_.attempts.add_endpoint(e, counted);
      workers_.emplace_back(through, std::move(e), counted);
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
    state_.keys.close();
    const bool drained = co_await pending_.count.wait_until_idle(grace, true);
    if (!drained) {
      pending_.stop.request_stop();
      [[maybe_unused]] const bool gone = co_await pending_.count.wait_until_idle(forever, false);
    }
  }

  bool closed() const noexcept { return state_.intake.closed(); }
  endpoint_control& endpoints() noexcept { return control_; }
  const sink_numbers& numbers() const noexcept { return state_.numbers; }

 private:
  task<delivery> run(event e, bool may_wait) {
    const context& here = co_await get_context();
    const targets to = targets_of(e);  // throws before anything is accepted
    const bool rotating = rotates(e);
    state_.attempts.run_on(*here.scheduler);
    tracked_event in{state_, here, std::move(e), rotating ? nullptr : &to};

    // Accepted: a place of its key, and one in the sink.
    sink_numbers& numbers = state_.numbers;
    if (closed()) co_return in.refuse(numbers.closed, stop_reason::cancelled_before_start);
    const bool ordered = state_.options.order == ordering::per_key && !in.result.event.order_key.empty();
    if (ordered) in.turn().enter(state_.keys, in.result.event.order_key);
    bool place = in.turn().try_place();
    bool room = place && state_.intake.try_acquire();
    if (!room && !may_wait) {
      in.given_back = true;
      co_return in.refuse(numbers.overloaded, stop_reason::overloaded);
    }
    if (!place) {
      place = co_await in.turn().wait_for_place();
      if (place) in.turn().take_place();
    }
    if (place && !room) room = co_await state_.intake.acquire();
    if (!room) co_return in.refuse(closed() ? numbers.closed : numbers.cancelled, cancelled_before_start(here));
    in.accept();

    // Its turn.
    if (ordered) {
      const bool turn = co_await in.turn().wait_for_turn();
      if (!turn) co_return in.end_before_start(cancelled_before_start(here));
      in.turn().take_turn();
    }

    // Delivered: at one of the endpoints, or at each of them.
    const http::body content{in.result.event.body};
    if (rotating && state_.options.order != ordering::per_endpoint) {
      endpoint_delivery<T> anywhere{workers_, state_.attempts, state_.options, in.result.event,
                                    content,  std::nullopt,    patience_};
      const std::optional<stop_reason> refused = co_await anywhere.begin();
      if (refused) co_return in.end_before_start(*refused);
      in.begin();
      in.result.outcomes.push_back(co_await anywhere.run());
    } else if (rotating || to.size() == 1) {
      in.result.outcomes.push_back(co_await deliver_to(in, content, rotating ? pick() : to.front()));
    } else {
      std::vector<task<endpoint_outcome>> each;
      each.reserve(to.size());
      for (const std::size_t at : to) each.push_back(deliver_to(in, content, at));
      in.result.outcomes = co_await when_all(std::move(each));
    }
    if (!in.begun() && here.stop.stop_requested()) {
      in.result.outcomes.clear();
      co_return in.end_before_start(cancelled_before_start(here));
    }
    co_return in.end();
  }

  // At this endpoint and no other.
  task<endpoint_outcome> deliver_to(tracked_event& in, const http::body& content, std::size_t at) {
    const context& here = co_await get_context();
    endpoint_worker<T>& worker = workers_[at];
    endpoint_delivery<T> there{workers_, state_.attempts,        state_.options, in.result.event, content,
                               at,       worker.series->deadline};
    permit turn;
    if (state_.options.order == ordering::per_endpoint) {  // also between its attempts: no other event overtakes it
      const bool granted = co_await worker.turn.acquire();
      if (!granted) co_return there.not_begun(cancelled_before_start(here));
      turn = permit{worker.turn};
    }
    const std::optional<stop_reason> refused = co_await there.begin();
    if (refused) co_return there.not_begun(*refused);
    in.begin();
    co_return co_await there.run();
  }

  // Where endpoints keep an order: the next in turn that has nothing to do, or at least is available.
  std::size_t pick() noexcept {
    const std::size_t n = workers_.size(), first = next_++;
    const auto next_that = [&](auto fits) {
      for (std::size_t i = 0; i < n; ++i)
        if (fits((first + i) % n)) return (first + i) % n;
      return n;
    };
    const auto available = [this](std::size_t at) { return state_.attempts.available(at); };
    std::size_t at = next_that([&](std::size_t i) { return available(i) && workers_[i].turn.idle(); });
    if (at == n) at = next_that(available);
    if (at == n) at = first % n;
    next_ = at + 1;
    return at;
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
  endpoint_control control_{state_.attempts};
  endpoint_workers<T> workers_;
  targets all_;
  duration patience_{};   // of a first attempt that may be made anywhere: the longest deadline
  std::size_t next_ = 0;  // the endpoint whose turn it is, where endpoints keep an order
  pending_deliveries pending_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
