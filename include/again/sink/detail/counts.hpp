// SPDX-License-Identifier: MIT
/// \file
/// The numbers of a sink. An event is counted where its result is made and an attempt where its outcome is known, each once. An
/// attempt counts as one, however many redirects it followed. Counted on the loop's thread, read from any.
#pragma once

#include <again/core/detail/enumerators.hpp>
#include <again/metrics/page.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/endpoint_state.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

struct endpoint_numbers {
  static constexpr std::size_t ok = 3;  // index in attempts; the others are reaches
  std::string name;
  std::string labels;
  std::array<counter, 4> attempts;
  counter retries;
  std::array<counter, enumerators<endpoint_reason>.size()> closings;
  gauge in_flight;
  histogram took;
  std::atomic<endpoint_state> state{endpoint_state::available};

  void attempted(const attempt_record& r) noexcept {
    attempts[r.ok ? ok : static_cast<std::size_t>(r.reach)].add();
    if (r.attempt > 1) retries.add();
    if (r.took >= duration::zero()) took.observe(r.took);
  }
  void changed(endpoint_state to, endpoint_reason why) noexcept {
    state.store(to, std::memory_order_relaxed);
    if (to != endpoint_state::available && to != endpoint_state::probing) closings[static_cast<std::size_t>(why)].add();
  }
  /// An attempt that has no outcome, as its delivery was destroyed or it threw: how far it got is unknown.
  void cut_off(bool retry) noexcept {
    attempts[static_cast<std::size_t>(reach::maybe_sent)].add();
    if (retry) retries.add();
  }
};

struct sink_numbers {
  static constexpr std::size_t reasons = static_cast<std::size_t>(stop_reason::cancelled_in_delay) + 1;

  counter accepted, delivered, abandoned, overloaded, closed, cancelled, written, lost;
  std::array<counter, reasons> failed;
  gauge in_flight, queued;
  histogram took;
  std::deque<endpoint_numbers> endpoints;
  std::string labels;  // of all samples: the name of the sink; empty where it has none

  explicit sink_numbers(std::string_view sink) : labels{sink.empty() ? "" : metric_label("sink", sink)} {}

  endpoint_numbers& add_endpoint(std::string name) {
    endpoint_numbers& e = endpoints.emplace_back();
    e.labels = with("endpoint", name);
    e.name = std::move(name);
    return e;
  }

  void ended(const delivery& d) noexcept {
    if (!d.accepted) return;
    if (d.ok()) {
      delivered.add();
    } else {
      failed[static_cast<std::size_t>(d.reason().value_or(stop_reason::permanent))].add();
    }
    took.observe(d.elapsed);
  }
  void abandon(duration after) noexcept {
    abandoned.add();
    took.observe(after);
  }
  std::uint64_t failed_in_all() const noexcept {
    std::uint64_t n = abandoned.value();
    for (const counter& c : failed) n += c.value();
    return n;
  }
  std::uint64_t attempts_in_all() const noexcept {
    std::uint64_t n = 0;
    for (const endpoint_numbers& e : endpoints)
      for (const counter& c : e.attempts) n += c.value();
    return n;
  }

  void write_to(metrics_page& page) const {
    page.add("again_sink_events_accepted_total", "Events accepted; at rest delivered + failed.", accepted, labels);
    page.add("again_sink_events_delivered_total", "Events that every endpoint they were meant for took.", delivered,
             labels);
    constexpr std::string_view failures = "again_sink_events_failed_total",
                               failures_help = "Events finally not delivered, by stop reason.";
    for (std::size_t i = 0; i < reasons; ++i)
      page.add(failures, failures_help, failed[i], with("reason", name(static_cast<stop_reason>(i))));
    page.add(failures, failures_help, abandoned, with("reason", "abandoned"));
    constexpr std::string_view refusals = "again_sink_events_refused_total",
                               refusals_help = "Events not accepted, by why; their callers were told.";
    page.add(refusals, refusals_help, overloaded, with("reason", "overloaded"));
    page.add(refusals, refusals_help, closed, with("reason", "closed"));
    page.add(refusals, refusals_help, cancelled, with("reason", "cancelled"));
    page.add("again_sink_events_in_flight", "Events being delivered now.", in_flight, labels);
    page.add("again_sink_queue_length", "Events accepted and not begun yet.", queued, labels);
    page.add("again_sink_delivery_duration_seconds",
             "From acceptance to the final result, the time in the queue included.", took, labels);
    constexpr std::string_view letters = "again_sink_dead_letters_total",
                               letters_help =
                                   "Undelivered events, by whether they could be written to the dead letter file.";
    page.add(letters, letters_help, written, with("result", "written"));
    page.add(letters, letters_help, lost, with("result", "lost"));
    for (const endpoint_numbers& e : endpoints) {
      for (std::size_t i = 0; i < e.attempts.size(); ++i) {
        page.add("again_sink_attempts_total", "Attempts, by success or by how far they got.", e.attempts[i],
                 e.labels + ',' +
                     metric_label("outcome", i == endpoint_numbers::ok ? "ok" : name(static_cast<reach>(i))));
      }
      page.add("again_sink_retries_total", "Attempts after the first of a delivery.", e.retries, e.labels);
      page.add("again_sink_endpoint_in_flight", "Attempts under way at the endpoint.", e.in_flight, e.labels);
      for (const endpoint_state s : enumerators<endpoint_state>) {
        gauge is;
        is.add(e.state.load(std::memory_order_relaxed) == s ? 1 : 0);
        page.add("again_sink_endpoint_state", "1 for the state that the endpoint is in.", is,
                 e.labels + ',' + metric_label("state", ::again::name(s)));
      }
      for (const endpoint_reason why : enumerators<endpoint_reason>) {
        if (why == endpoint_reason::none) continue;
        page.add("again_sink_endpoint_closings_total",
                 "Times that nothing was sent to the endpoint for a while, or until it is resumed, by why.",
                 e.closings[static_cast<std::size_t>(why)], e.labels + ',' + metric_label("by", ::again::name(why)));
      }
      page.add("again_sink_attempt_duration_seconds", "Time of one attempt.", e.took, e.labels);
    }
  }

 private:
  std::string with(std::string_view name, std::string_view value) const {
    return labels.empty() ? metric_label(name, value) : labels + ',' + metric_label(name, value);
  }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
