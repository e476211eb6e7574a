// SPDX-License-Identifier: MIT
/// \file
/// The way of an event through a sink: taken in, its turn, its legs, its end. One loop, one thread.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/http/idempotency.hpp>
#include <again/retry/retry.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/detail/endpoint_delivery.hpp>
#include <again/sink/detail/pending_delivery.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <http::transport T> class sink_engine {
 public:
  sink_engine(T& through, std::vector<endpoint> endpoints, sink_options o)
      : options_{std::move(o)},
        numbers_{options_.name},
        intake_{static_cast<std::size_t>(std::max(options_.in_flight, 1)) +
                static_cast<std::size_t>(std::max(options_.queue, 0))},
        running_{static_cast<std::size_t>(std::max(options_.in_flight, 1))} {
    if (const auto wrong = validate(endpoints, options_)) throw std::invalid_argument{"again::sink: " + *wrong};
    for (endpoint& e : endpoints) {
      numbers_.add_endpoint(shown_name(e));
      all_.push_back(places_.size());
      places_.emplace_back(through, std::move(e), options_, numbers_.endpoints.back());
    }
  }
  sink_engine(const sink_engine&) = delete;
  sink_engine& operator=(const sink_engine&) = delete;
  ~sink_engine() {
    assert(shared_.presence.here() == 0 && "again::sink: destroyed with deliveries under way; await close() first");
  }

  pending_delivery deliver(event e, bool may_wait) { return {shared_, run(std::move(e), may_wait)}; }

  task<> close(duration grace) {
    intake_.refuse_all();
    const bool drained = co_await shared_.presence.empty(grace, true);
    if (!drained) {
      shared_.stop.request_stop();
      [[maybe_unused]] const bool gone = co_await shared_.presence.empty(forever, false);
    }
  }

  bool closed() const noexcept { return intake_.refusing(); }
  const sink_numbers& numbers() const noexcept { return numbers_; }

 private:
  using legs = std::vector<std::size_t>;
  struct lane {  // of one order key
    sink_gate gate{1};
    std::size_t users = 0;
  };
  using lanes = std::unordered_map<std::string, lane>;

  // An event on its way. However its coroutine ends, it ends as counted, written down and out of every line.
  class entry {
   public:
    /// `named`: the endpoints it is meant for, each of them; null: any one of the sink's.
    entry(sink_engine& s, const context& ctx, event e, const legs* named)
        : result{std::move(e)}, sink_{s}, home_{*ctx.scheduler}, named_{named} {}
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() {
      if (!ended_ && !given_back) {
        if (result.outcomes.empty())
          result.not_begun = begun_ ? stop_reason::cancelled_in_attempt : stop_reason::cancelled_before_start;
        write_down();
        if (result.accepted)
          sink_.numbers_.abandon(home_.now() - since_);
        else
          sink_.numbers_.cancelled.add();
      }
      if (result.accepted) (begun_ ? sink_.numbers_.in_flight : sink_.numbers_.queued).add(-1);
      if (lane_ != nullptr && --lane_->second.users == 0) {
        turn = {};
        sink_.lanes_.erase(sink_.lanes_.find(lane_->first));
      }
    }

    void accept() {
      result.accepted = true;
      place = sink_slot{sink_.intake_};
      since_ = home_.now();
      if (result.event.key.empty() && sink_.options_.idempotency_keys) result.event.key = http::fresh_idempotency_key();
      sink_.numbers_.accepted.add();
      sink_.numbers_.queued.add(1);
    }
    sink_gate& key_gate() {
      lane_ = &*sink_.lanes_.try_emplace(result.event.order_key).first;
      ++lane_->second.users;
      return lane_->second.gate;
    }
    void begin() {
      begun_ = true;
      slot = sink_slot{sink_.running_};
      sink_.numbers_.queued.add(-1);
      sink_.numbers_.in_flight.add(1);
    }
    delivery end() {
      ended_ = true;
      if (result.accepted) result.elapsed = home_.now() - since_;
      if (!result.ok() && !given_back) write_down();
      sink_.numbers_.ended(result);
      if (sink_.options_.observer != nullptr) sink_.options_.observer->finished(result);
      // The places are still held by this entry: what is moved out is the result alone.
      delivery out = std::move(result);
      result.accepted = out.accepted;
      return out;
    }
    delivery refuse(counter& as, stop_reason why) {
      as.add();
      result.not_begun = why;
      return end();
    }
    delivery not_begun(stop_reason why) {
      result.not_begun = why;
      return end();
    }

    delivery result;
    sink_slot place, turn, slot;
    bool given_back = false;

   private:
    void write_down() noexcept {
      dead_letter_file* const file = sink_.options_.dead_letters;
      if (file == nullptr) return;
      bool done = false;
      try {
        done = file->write(addressed(), home_.wall_now());
      } catch (...) {  // out of memory: as lost as on a full disk
      }
      if (addressed_) result.event.only.clear();
      (done ? sink_.numbers_.written : sink_.numbers_.lost).add();
      result.dead_letter = done ? dead_letter::written : dead_letter::lost;
    }

    // The letter says whom it is for, as the choice was made for this event and not for whoever sends it again.
    const delivery& addressed() {
      if (named_ == nullptr || sink_.places_.size() < 2 || !result.event.only.empty()) return result;
      addressed_ = true;
      if (result.outcomes.empty()) {
        for (const std::size_t at : *named_) result.event.only.push_back(sink_.places_[at].name);
      } else {
        for (const endpoint_outcome& o : result.outcomes)
          if (!o.result) result.event.only.emplace_back(o.endpoint);
      }
      return result;
    }

    sink_engine& sink_;
    scheduler& home_;
    const legs* named_;
    bool addressed_ = false;
    time_point since_;
    typename lanes::value_type* lane_ = nullptr;
    bool begun_ = false;
    bool ended_ = false;
  };

  task<delivery> run(event e, bool may_wait) {
    const context& here = co_await get_context();
    const legs to = legs_of(e);  // throws before anything is accepted
    const bool roams = !options_.choose && options_.routing == routing::round_robin && e.only.empty();
    entry in{*this, here, std::move(e), roams ? nullptr : &to};
    if (closed()) co_return in.refuse(numbers_.closed, stop_reason::cancelled_before_start);
    bool room = intake_.try_enter();
    if (!room && !may_wait) {
      in.given_back = true;
      co_return in.refuse(numbers_.overloaded, stop_reason::overloaded);
    }
    if (!room) room = co_await intake_.enter();
    if (!room)
      co_return in.refuse(closed() ? numbers_.closed : numbers_.cancelled,
                          stopped_now(here, stop_reason::cancelled_before_start));
    in.accept();

    bool turn = true;
    if (options_.order == ordering::per_key && !in.result.event.order_key.empty()) {
      sink_gate& before = in.key_gate();
      turn = co_await before.enter();
      if (turn) in.turn = sink_slot{before};
    }
    if (turn) turn = co_await running_.enter();
    if (!turn) co_return in.not_begun(stopped_now(here, stop_reason::cancelled_before_start));
    in.begin();

    const http::body content{in.result.event.body};
    if (roams || to.size() == 1) {
      in.result.outcomes.push_back(co_await leg(in.result.event, content, to.front(), roams ? &to : nullptr));
    } else {
      std::vector<task<endpoint_outcome>> all;
      all.reserve(to.size());
      for (const std::size_t at : to) all.push_back(leg(in.result.event, content, at, nullptr));
      in.result.outcomes = co_await when_all(std::move(all));
    }
    co_return in.end();
  }

  // Exactly one of these per endpoint an event goes to.
  task<endpoint_outcome> leg(const event& e, const http::body& content, std::size_t at, const legs* roams) {
    const context& here = co_await get_context();
    bool in = false;
    if (roams != nullptr) at = pick(*roams, in);
    if (!in) in = co_await places_[at].gate.enter();
    if (!in) {
      co_return endpoint_outcome{
          places_[at].name,
          endpoint_outcome::result_type{
              unexpect, failure<http::error>{{.reason = stopped_now(here, stop_reason::cancelled_before_start)}}},
          0, duration::zero(), attempt_trace{}};
    }
    sink_leg<T> at_work{places_, options_, e, content, at, roams};
    const auto send = [&at_work] { return at_work.next(); };
    const auto see = [&at_work](const attempt_record& r) { at_work.seen(r); };
    const time_point start = here.scheduler->now();
    auto result = co_await retry(places_[at].policy, send).observe(see);
    co_return at_work.outcome(std::move(result), here.scheduler->now() - start);
  }

  // The next in turn that has room, with a slot of it; where none has, the next in turn.
  std::size_t pick(const legs& among, bool& in) noexcept {
    const std::size_t first = next_;
    for (std::size_t i = 0; i < among.size(); ++i) {
      const std::size_t at = among[(first + i) % among.size()];
      if (!places_[at].gate.try_enter()) continue;
      next_ = first + i + 1;
      in = true;
      return at;
    }
    ++next_;
    return among[first % among.size()];
  }

  legs legs_of(const event& e) const {
    legs to = options_.choose ? options_.choose(e) : all_;
    if (to.empty()) throw std::invalid_argument{"again::sink: no endpoint was chosen"};
    for (const std::size_t at : to)
      if (at >= places_.size()) throw std::out_of_range{"again::sink: there is no endpoint " + std::to_string(at)};
    if (e.only.empty()) return to;
    for (const std::string& wanted : e.only) {
      if (std::none_of(to.begin(), to.end(), [&](std::size_t at) { return places_[at].name == wanted; })) {
        throw std::invalid_argument{"again::sink: no endpoint is called " + wanted};
      }
    }
    std::erase_if(
        to, [&](std::size_t at) { return std::find(e.only.begin(), e.only.end(), places_[at].name) == e.only.end(); });
    return to;
  }

  const sink_options options_;
  sink_numbers numbers_;
  std::deque<sink_place<T>> places_;
  legs all_;
  lanes lanes_;
  sink_gate intake_;   // accepted and not ended
  sink_gate running_;  // of those: begun
  sink_shared shared_;
  std::size_t next_ = 0;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
