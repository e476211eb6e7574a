// SPDX-License-Identifier: MIT
/// \file
/// `delivery_log`: writes a line for each attempt, each final result and each change in the state of an endpoint, as logfmt or JSON.
///
/// ```text
/// level=warn msg=attempt event=42 endpoint=http://127.0.0.1:8080/in attempt=1 status=503 reach=answered took_ms=1.2 wait_ms=87 wait_by=backoff
/// level=info msg=delivered event=42 attempts=2 elapsed_ms=91.4
/// level=warn msg=endpoint endpoint=http://127.0.0.1:8080/in state=paused was=available by=retry_after wait_ms=5000
/// ```
///
/// - Level: `info` for a success; `warn` for a failed attempt that is followed by another one, for an event that was
///   refused, and for an endpoint to which nothing is sent for a while; `error` for a last failed attempt, and for an event that was finally not delivered.
/// - Secrets: headers, bodies and queries are never printed. Idempotency-Keys are printed only on request.
/// - Units: `ts` in Unix seconds, `_ms` in milliseconds.
/// - Thread: the sink's. Errors: `write` handles its own.
#pragma once

#include <again/core/clock.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/detail/log_fields.hpp>
#include <again/sink/endpoint_state.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

enum class log_format : std::uint8_t { logfmt, json };
enum class log_level : std::uint8_t { info, warn, error };
constexpr std::string_view name(log_level l) noexcept {
  return l == log_level::info ? "info" : l == log_level::warn ? "warn" : "error";
}

constexpr log_level level_of(const attempt_record& r) noexcept {
  return r.ok ? log_level::info : r.last ? log_level::error : log_level::warn;
}
inline log_level level_of(const delivery& d) noexcept {
  return d ? log_level::info : d.accepted ? log_level::error : log_level::warn;
}
constexpr log_level level_of(const endpoint_change& c) noexcept {
  return c.to == endpoint_state::available || c.to == endpoint_state::probing ? log_level::info : log_level::warn;
}

/// A line without the line feed.
std::string log_line(log_format format, wall_time at, const event& e, std::string_view endpoint,
                     const attempt_record& r);
std::string log_line(log_format format, wall_time at, const delivery& d, bool show_key = false);
std::string log_line(log_format format, wall_time at, const endpoint_change& c);

class delivery_log : public delivery_observer {
 public:
  /// `write(level, line)` is called with each line of level `least` or above.
  explicit delivery_log(log_format format, std::function<void(log_level, std::string_view)> write,
                        log_level least = log_level::info, bool show_keys = false, clock& time = system_clocks())
      : format_{format}, write_{std::move(write)}, least_{least}, show_keys_{show_keys}, clock_{time} {}

  void attempted(const event& e, std::string_view endpoint, const attempt_record& r) override {
    if (level_of(r) >= least_) write_(level_of(r), log_line(format_, clock_.wall_now(), e, endpoint, r));
  }
  void finished(const delivery& d) override {
    if (level_of(d) >= least_) write_(level_of(d), log_line(format_, clock_.wall_now(), d, show_keys_));
  }
  void changed(const endpoint_change& c) override {
    if (level_of(c) >= least_) write_(level_of(c), log_line(format_, clock_.wall_now(), c));
  }

 private:
  log_format format_;
  std::function<void(log_level, std::string_view)> write_;
  log_level least_;
  bool show_keys_;
  clock& clock_;
};

// ── definitions ──

inline std::string log_line(log_format format, wall_time at, const event& e, std::string_view endpoint,
                            const attempt_record& r) {
  detail::log_fields f{format == log_format::json};
  f.seconds("ts", at);
  f.text("level", name(level_of(r)));
  f.text("msg", "attempt");
  f.text("event", e.id);
  f.text("endpoint", endpoint);
  f.number("attempt", r.attempt);
  if (r.code != 0) f.number("status", r.code);
  if (!r.ok) {
    if (!r.name.empty() && r.name != "status") f.text("error", r.name);
    f.text("reach", name(r.reach));
  }
  f.milliseconds("took_ms", r.took);
  if (r.last && !r.ok) f.text("stop", name(r.stop));
  if (!r.last) {
    f.milliseconds("wait_ms", r.wait);
    if (r.by != wait_by::none) f.text("wait_by", name(r.by));
  }
  return std::move(f).end();
}

inline std::string log_line(log_format format, wall_time at, const delivery& d, bool show_key) {
  detail::log_fields f{format == log_format::json};
  f.seconds("ts", at);
  f.text("level", name(level_of(d)));
  f.text("msg", d ? "delivered" : d.accepted ? "failed" : "refused");
  f.text("event", d.event.id);
  if (show_key) f.text("key", d.event.key);
  f.number("attempts", d.attempts());
  f.milliseconds("elapsed_ms", d.elapsed);
  if (d.outcomes.size() > 1) {
    long long taken = 0;
    for (const endpoint_outcome& o : d.outcomes) taken += o.result ? 1 : 0;
    f.number("endpoints", static_cast<long long>(d.outcomes.size()));
    f.number("taken_by", taken);
  }
  if (const auto why = d.reason()) f.text("reason", name(*why));
  if (const endpoint_outcome* const failed = d.failed()) {
    f.text("endpoint", failed->endpoint);
    if (const http::error* const last = failed->result.error().error()) f.text("error", last->text());
  }
  if (d.dead_letter != dead_letter::none) f.text("dead_letter", name(d.dead_letter));
  return std::move(f).end();
}

inline std::string log_line(log_format format, wall_time at, const endpoint_change& c) {
  detail::log_fields f{format == log_format::json};
  f.seconds("ts", at);
  f.text("level", name(level_of(c)));
  f.text("msg", "endpoint");
  f.text("endpoint", c.endpoint);
  f.text("state", name(c.to));
  f.text("was", name(c.from));
  if (c.reason != endpoint_reason::none) f.text("by", name(c.reason));
  if (c.wait > duration::zero() && c.wait != forever) f.milliseconds("wait_ms", c.wait);
  if (!c.last_error.empty()) f.text("error", c.last_error);
  return std::move(f).end();
}

}  // namespace AGAIN_ABI
}  // namespace again
