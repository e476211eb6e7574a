// SPDX-License-Identifier: MIT
/// \file
/// `delivery_log`: one line per attempt and one per final result of a sink, as logfmt or JSON.
///
/// ```text
/// level=warn msg=attempt event=42 endpoint=http://127.0.0.1:8080/in attempt=1 status=503 reach=answered took_ms=1.2 wait_ms=87 wait_by=backoff
/// level=info msg=delivered event=42 attempts=2 elapsed_ms=91.4
/// ```
///
/// - Level: `info` for what succeeded, `warn` for an attempt that another one follows, `error` for one that was the last and for events
///   finally not delivered, `warn` for those that were refused.
/// - Secrets: no header is ever printed, nor a body, a query, or the user-info of a URL (which is refused anyway). Idempotency-Keys
///   are printed only on request.
/// - Threads: lines are written on the sink's thread. Errors of `write` are its own.
#pragma once

#include <again/core/clock.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/json_writer.hpp>

#include <charconv>
#include <chrono>
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

/// A line without its end. `at` is printed as Unix seconds.
std::string log_line(log_format format, wall_time at, const event& e, std::string_view endpoint,
                     const attempt_record& r);
std::string log_line(log_format format, wall_time at, const delivery& d, bool show_key = false);

class delivery_log : public delivery_observer {
 public:
  /// `write(level, line)` gets each line; lines below `least` are not made.
  explicit delivery_log(log_format format, std::function<void(log_level, std::string_view)> write,
                        log_level least = log_level::info, bool show_keys = false, clock& time = system_clocks())
      : format_{format}, write_{std::move(write)}, least_{least}, show_keys_{show_keys}, clock_{time} {}

  void attempted(const event& e, std::string_view endpoint, const attempt_record& r) override {
    if (level_of(r) >= least_) write_(level_of(r), log_line(format_, clock_.wall_now(), e, endpoint, r));
  }
  void finished(const delivery& d) override {
    if (level_of(d) >= least_) write_(level_of(d), log_line(format_, clock_.wall_now(), d, show_keys_));
  }

 private:
  log_format format_;
  std::function<void(log_level, std::string_view)> write_;
  log_level least_;
  bool show_keys_;
  clock& clock_;
};

// ── definitions ──

namespace detail {

class log_fields {
 public:
  explicit log_fields(log_format f) : format_{f}, line_{f == log_format::json ? "{" : ""} {}

  void text(std::string_view key, std::string_view value) {
    begin(key);
    if (format_ == log_format::json || needs_quotes(value)) {
      json_string(line_, value);
    } else {
      line_ += value;
    }
  }
  void number(std::string_view key, long long value) {
    begin(key);
    line_ += std::to_string(value);
  }
  void milliseconds(std::string_view key, duration d) {
    if (d < duration::zero()) return;
    begin(key);
    char text[32];
    const auto whole_us = std::chrono::duration_cast<std::chrono::microseconds>(d).count();
    const double ms = static_cast<double>(whole_us) / 1000.0;
    line_.append(text, std::to_chars(text, text + sizeof text, ms).ptr);
  }
  void seconds(std::string_view key, wall_time at) {
    begin(key);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
    line_.append(std::to_string(ms / 1000)).append(".").append(std::to_string(1000 + ms % 1000).substr(1));
  }
  std::string end() && { return format_ == log_format::json ? std::move(line_ += '}') : std::move(line_); }

 private:
  static bool needs_quotes(std::string_view value) noexcept {
    if (value.empty()) return true;
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= ' ' || byte >= 0x7f || c == '=' || c == '"' || c == '\\') return true;
    }
    return false;
  }
  void begin(std::string_view key) {
    if (format_ == log_format::json) {
      json_member(line_, key);
    } else {
      if (!line_.empty()) line_ += ' ';
      line_.append(key).append("=");
    }
  }
  log_format format_;
  std::string line_;
};

}  // namespace detail

inline std::string log_line(log_format format, wall_time at, const event& e, std::string_view endpoint,
                            const attempt_record& r) {
  detail::log_fields f{format};
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
  detail::log_fields f{format};
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

}  // namespace AGAIN_ABI
}  // namespace again
