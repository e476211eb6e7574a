// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_delivery`: one event at one endpoint, or in turns at one endpoint after the other. Each attempt waits for its permit, is
/// sent, and tells the endpoint how it ended; between attempts it holds nothing.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/http/client.hpp>
#include <again/http/error.hpp>
#include <again/http/transport.hpp>
#include <again/retry/retry.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/dispatcher.hpp>
#include <again/sink/detail/endpoint_worker.hpp>
#include <again/sink/detail/rotation.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <http::transport T> class endpoint_delivery {
 public:
  /// `at`: the endpoint; nothing: any, in turns. `patience`: how long the first attempt waits for a circuit breaker.
  endpoint_delivery(endpoint_workers<T>& workers, dispatcher& permits, const sink_options& options, const event& e,
                    const http::body& content, std::optional<std::size_t> at, duration patience)
      : workers_{workers},
        permits_{permits},
        options_{options},
        event_{e},
        content_{content},
        asks_{.patience = patience} {
    if (at) {
      asks_.at = at_ = *at;
    } else {
      rotation_.emplace(workers.size());
      asks_.rotating = &*rotation_;
    }
  }
  endpoint_delivery(const endpoint_delivery&) = delete;
  endpoint_delivery& operator=(const endpoint_delivery&) = delete;
  ~endpoint_delivery() {
    if (sending_) here().numbers.cut_off(made_ > 0);
  }

  /// Waits for the first permit: before it there is no deadline. Nothing: it has one; else why it never will.
  task<std::optional<stop_reason>> begin() {
    admitted a = co_await permits_.enter(asks_);
    if (!a) co_return a.why;
    take(std::move(a.permit));
    asks_.retry = true;
    co_return std::nullopt;
  }
  /// All attempts. After `begin`.
  task<endpoint_outcome> run() {
    const context& home = co_await get_context();
    start_ = home.scheduler->now();
    const auto attempt = [this] { return make_attempt(); };
    const auto judge = [this](const failure<http::error>& f) { return judged(f); };
    const auto see = [this](const attempt_record& r) { seen(r); };
    auto result = co_await retry(here().series, attempt).when(judge).observe(see);
    if (!result) {
      result.error().details().trace = trace_;
      if (refused_) result.error().details().reason = *refused_;
    }
    co_return endpoint_outcome{here().numbers.name, std::move(result), made_, home.scheduler->now() - start_, trace_};
  }
  /// The outcome where it was never begun.
  endpoint_outcome not_begun(stop_reason why) const {
    return {workers_[at_].numbers.name, result_type{unexpect, not_sent<http::error>(why, duration::zero())}, 0,
            duration::zero(), attempt_trace{}};
  }

 private:
  using result_type = endpoint_outcome::result_type;

  endpoint_worker<T>& here() noexcept { return workers_[at_]; }
  void take(attempt_permit p) noexcept {
    permit_ = std::move(p);
    at_ = permit_.at();
  }

  task<result_type> make_attempt() {
    const context& ctx = co_await get_context();
    if (!permit_) {
      admitted a = co_await permits_.enter(asks_);
      if (!a) {
        refused_ = a.why == stop_reason::cancelled_before_start ? stop_reason::cancelled_in_delay : a.why;
        co_return result_type{unexpect, not_sent<http::error>(*refused_, duration::zero())};
      }
      take(std::move(a.permit));
    }
    http::send_operation<T>& send = operation();
    began_ = ctx.scheduler->now();
    sending_ = true;
    auto sent = co_await retry(here().attempt, [&send] { return send(); });
    if (!sent && sent.error().error() == nullptr) {  // stopped at this moment: it was not sent
      sending_ = false;
      permit_.abandon();
      co_return std::move(sent);
    }
    took_ = ctx.scheduler->now() - began_;
    timed_out_ = !sent && sent.error().trace()[0].timed_out;
    if (sent) {
      permit_.succeeded();
      co_return std::move(sent);
    }
    http::error& failed = *sent.error().error();
    const verdict v = failed.verdict();
    if (failed.kind() == http::error_kind::shortage) {
      permit_.abandon();  // it says nothing of the endpoint
    } else {
      permit_.failed(v, failed.status(), failed.text());
    }
    const stop_reason why = ended_by(v, ctx.scheduler->now(), ctx);
    co_return result_type{unexpect, sent_once(std::move(failed), v, why, took_)};
  }

  // Where the next attempt goes, and what this one means for the wait before it. The wish of the endpoint to be asked later is known to
  // the dispatcher; a retry that goes elsewhere does not wait for it.
  verdict judged(const failure<http::error>& f) {
    verdict v = f.verdict();
    if (refused_) v.kind = disposition::permanent;  // no further attempt
    if (sending_ && permits_.disabled(at_)) {  // whatever the rules say of 410: the event goes elsewhere, or nowhere
      if (rotation_ && permits_.another_available(at_)) {
        v.kind = disposition::transient;
      } else {
        refused_ = stop_reason::endpoint_disabled;
        v.kind = disposition::permanent;
      }
    }
    if (!sending_ || !rotation_ || v.kind != disposition::transient) return v;
    const bool moves = options_.move_on == moving::any || v.reach != reach::answered || permits_.disabled(at_);
    asks_.at = at_;
    asks_.rotating = moves ? &*rotation_ : nullptr;
    if (!moves) return v;
    rotation_->failed_at(at_);
    if (permits_.another_available(at_)) {
      v.server_delay = duration{-1};
      v.server_delay_too_long = false;
    }
    return v;
  }
  void seen(attempt_record r) {
    if (!std::exchange(sending_, false)) return;  // it had no permit: it was no attempt
    ++made_;
    r.began = began_ - start_;
    r.took = took_;
    r.timed_out = timed_out_;
    trace_.push(r);
    here().numbers.attempted(r);
    if (options_.observer != nullptr) options_.observer->attempted(event_, here().numbers.name, r);
  }
  // Made once for each endpoint, so that an attempt knows its number there.
  http::send_operation<T>& operation() {
    for (auto& [at, send] : sends_)
      if (at == at_) return send;
    return sends_.emplace_back(at_, here().send(event_, content_, options_.idempotency_keys)).second;
  }

  endpoint_workers<T>& workers_;
  dispatcher& permits_;
  const sink_options& options_;
  const event& event_;
  const http::body& content_;
  attempt_request asks_;
  std::optional<rotation> rotation_;
  std::size_t at_ = 0;     // where the last attempt was made
  attempt_permit permit_;  // of the attempt that is about to be sent or under way
  std::vector<std::pair<std::size_t, http::send_operation<T>>> sends_;
  std::optional<stop_reason> refused_;  // why there is no permit for another attempt, which ends the delivery
  int made_ = 0;                        // attempts that have ended
  bool sending_ = false;                // an attempt was sent and is not recorded yet
  bool timed_out_ = false;
  time_point start_, began_;
  duration took_{};
  attempt_trace trace_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
