// SPDX-License-Identifier: MIT
// The result of one send or delivery, and its JSON.
#pragma once

#include "json_writer.hpp"

#include <again/core/expected.hpp>
#include <again/http/error.hpp>
#include <again/http/message.hpp>
#include <again/http/rules.hpp>
#include <again/policy/failure.hpp>
#include <again/sink/delivery.hpp>

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

/// One attempt, and what is known of its error beyond its name.
struct attempt {
  again::attempt_record record;
  std::string detail{};
};

/// A final result with all of its attempts.
struct outcome {
  bool ok = false;
  int status = 0;                            ///< of a complete response; 0: there was none
  std::string_view error;                    ///< one word if there is no complete response
  std::optional<again::stop_reason> reason;  ///< why it stopped without a success
  std::string detail;                        ///< what is known of the last error beyond its name, or empty
  int attempts = 0;
  int redirects = 0;  ///< that the last attempt followed; each is one more request
  again::duration elapsed{};
  std::optional<std::string> body;  ///< of a complete response
  std::vector<attempt> trace;       ///< oldest first
  std::size_t trace_dropped = 0;    ///< earlier attempts that are not in the trace
};

using http_result = again::expected<again::http::response, again::failure<again::http::error>>;

/// Makes an outcome of a result of `retry`; moves the response's body.
inline outcome outcome_of(http_result&& result, std::vector<attempt> trace, again::duration elapsed) {
  outcome o;
  o.elapsed = elapsed;
  o.trace = std::move(trace);
  if (result) {
    o.ok = true;
    o.status = result->status;
    o.redirects = result->redirects;
    o.body = std::move(result->body);
    o.attempts = static_cast<int>(o.trace.size());
    return o;
  }
  const again::failure<again::http::error>& failed = result.error();
  o.reason = failed.reason();
  o.attempts = failed.attempts();
  if (const again::http::error* const last = failed.error()) {
    o.detail = last->detail();
    o.redirects = last->redirects();
    if (last->kind() == again::http::error_kind::status) {
      o.status = last->status();
      if (last->response() != nullptr) o.body = last->response()->body;
    } else {
      o.error = name(last->kind());
    }
  }
  return o;
}

/// Makes an outcome of a sink's result for one endpoint.
inline outcome outcome_of(again::endpoint_outcome&& o) {
  std::vector<attempt> trace;
  trace.reserve(o.trace.size());
  for (std::size_t i = 0; i < o.trace.size(); ++i) trace.push_back({o.trace[i]});
  outcome all = outcome_of(std::move(o.result), std::move(trace), o.elapsed);
  all.attempts = o.attempts;
  all.trace_dropped = o.trace.dropped();
  return all;
}

/// The outcome of a request that was never sent.
inline outcome not_sent(again::http::error_kind kind, again::stop_reason why, std::string detail) {
  outcome o;
  o.error = name(kind);
  o.reason = why;
  o.detail = std::move(detail);
  return o;
}

/// Milliseconds, rounded down to the microsecond.
inline double milliseconds(again::duration d) { return std::floor(static_cast<double>(d.count()) / 1e3) / 1e3; }

inline void append_json(std::string& out, const attempt& a) {
  const again::attempt_record& r = a.record;
  const bool by_status = r.ok || r.name == "status";
  const bool responded = by_status || r.name == again::http::outstanding;  // a status that has a name of its own
  json_object j{out};
  j.number("attempt", r.attempt);
  j.number_or_null("status", r.code, responded && r.code != 0);
  j.text_or_null("error", r.name, !by_status && !r.name.empty());
  if (!a.detail.empty()) j.text("detail", a.detail);
  j.text("reach", name(r.ok ? again::reach::answered : r.reach));
  j.number("wait_ms", milliseconds(r.wait));
  j.text_or_null("wait_by", name(r.by), r.by != again::wait_by::none);
  j.end();
}

/// Adds the members that every report has; the body and the trace are not among them.
inline void add_to(json_object& report, const outcome& o) {
  report.boolean("ok", o.ok);
  report.number_or_null("status", o.status, o.status != 0);
  report.text_or_null("error", o.error, !o.error.empty());
  if (!o.detail.empty()) report.text("detail", o.detail);
  report.text_or_null("reason", o.reason ? name(*o.reason) : std::string_view{}, o.reason.has_value());
  report.number("attempts", o.attempts);
  if (o.redirects > 0) report.number("redirects", o.redirects);
  report.number("elapsed_ms", milliseconds(o.elapsed));
}

inline void add_trace(json_object& report, std::string& out, const outcome& o) {
  report.array("trace", o.trace.size(), [&](std::size_t i) { append_json(out, o.trace[i]); });
  if (o.trace_dropped > 0) report.number("trace_dropped", o.trace_dropped);
}

/// The report of `send`, one line of JSON.
inline std::string report_of(const outcome& o) {
  std::string out;
  json_object report{out};
  add_to(report, o);
  report.text_or_null("body", o.body ? *o.body : std::string_view{}, o.body.has_value());
  add_trace(report, out, o);
  report.end();
  return out;
}

}  // namespace programs
