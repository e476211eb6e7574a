// SPDX-License-Identifier: MIT
/// \file
/// One event at one endpoint (or, with round robin, at one after the other): the slots it holds, and what its retry sends.
#pragma once

#include <again/http/client.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/options.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// An endpoint at work.
template <http::transport T> class sink_place {
 public:
  sink_place(T& through, endpoint e, const sink_options& o, endpoint_numbers& counted)
      : name{shown_name(e)},
        policy{e.policy},
        gate{o.order == ordering::per_endpoint ? std::size_t{1} : static_cast<std::size_t>(e.in_flight)},
        numbers{counted},
        client_{through,
                e.url.origin,
                {.limits = e.limits, .rules = e.rules, .headers = e.headers, .max_redirects = e.max_redirects}},
        target_{std::move(e.url.target)},
        accept_{e.accept},
        method_{e.method} {}

  http::send_operation<T> send(const event& e, const http::body& content, bool keyed) const {
    http::request r{method_, target_};
    for (const http::headers::field& f : e.headers) r.header(f.name, f.value);
    r.body(content).accept(accept_);
    if (keyed) r.idempotency_key(e.key);
    return client_.send(std::move(r));
  }

  const std::string name;
  const checked_policy policy;
  sink_gate gate;
  endpoint_numbers& numbers;

 private:
  http::client_over<T> client_;
  std::string target_;
  http::status_set accept_;
  http::method method_;
};

/// What a delivery knows while it is under way at one endpoint. Holds one slot of it, which moves along with the delivery.
template <http::transport T> class sink_leg {
 public:
  using places = std::deque<sink_place<T>>;

  /// The slot at `at` is already the caller's.
  sink_leg(places& all, const sink_options& options, const event& e, const http::body& content, std::size_t at,
           const std::vector<std::size_t>* roams)
      : places_{all}, options_{options}, event_{e}, content_{content}, at_{at}, roams_{roams}, slot_{all[at].gate} {
    all[at].numbers.in_flight.add(1);
  }
  sink_leg(const sink_leg&) = delete;
  sink_leg& operator=(const sink_leg&) = delete;
  ~sink_leg() {
    if (running_) here().numbers.cut_off(made_ > 0);
    here().numbers.in_flight.add(-1);
  }

  sink_place<T>& here() noexcept { return places_[at_]; }

  /// The next attempt.
  auto next() {
    if (std::exchange(move_on_, false)) move();
    http::send_operation<T>& send = operation();
    running_ = true;
    return send();
  }
  void seen(const attempt_record& r) {
    running_ = false;
    ++made_;
    trace_.push(r);
    here().numbers.attempted(r);
    move_on_ = !r.ok && (options_.move_on == moving::any || r.reach != reach::answered);
    if (options_.observer != nullptr) options_.observer->attempted(event_, here().name, r);
  }
  endpoint_outcome outcome(endpoint_outcome::result_type result, duration elapsed) {
    return {here().name, std::move(result), made_, elapsed, trace_};
  }

 private:
  // To the next endpoint that has room; where none has, it stays: its slot is there. Where endpoints keep an order it stays too: it
  // would come there after events that were accepted later, and leave its place here to one of them before its own final result.
  void move() {
    if (roams_ == nullptr || options_.order == ordering::per_endpoint) return;
    const std::size_t n = roams_->size();
    std::size_t from = 0;
    while (from < n && (*roams_)[from] != at_) ++from;
    for (std::size_t i = 1; i < n; ++i) {
      const std::size_t to = (*roams_)[(from + i) % n];
      if (!places_[to].gate.try_enter()) continue;
      here().numbers.in_flight.add(-1);
      at_ = to;
      slot_ = sink_slot{places_[to].gate};
      here().numbers.in_flight.add(1);
      return;
    }
  }
  http::send_operation<T>& operation() {
    for (auto& [at, send] : sends_)
      if (at == at_) return send;
    return sends_.emplace_back(at_, here().send(event_, content_, options_.idempotency_keys)).second;
  }

  places& places_;
  const sink_options& options_;
  const event& event_;
  const http::body& content_;
  std::size_t at_;
  const std::vector<std::size_t>* roams_;
  sink_slot slot_;
  std::vector<std::pair<std::size_t, http::send_operation<T>>> sends_;
  int made_ = 0;
  bool move_on_ = false;
  bool running_ = false;  // an attempt, of which nothing is known yet
  attempt_trace trace_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
