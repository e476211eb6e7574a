// SPDX-License-Identifier: MIT
// The result of one send or delivery, and its JSON.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/error.hpp>
#include <again/http/message.hpp>
#include <again/policy/failure.hpp>
#include <again/sink/delivery.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

using json = nlohmann::ordered_json;

/// A final result with all of its attempts.
struct outcome {
  bool ok = false;
  int status = 0;                            ///< of a complete response; 0: there was none
  std::string_view error;                    ///< one word if there is no complete response
  std::optional<again::stop_reason> reason;  ///< why it stopped without a success
  std::string detail;                        ///< the last error in one line
  int attempts = 0;
  int redirects = 0;  ///< that the last attempt followed; each is one more request
  again::duration elapsed{};
  std::optional<std::string> body;           ///< of a complete response
  std::vector<again::attempt_record> trace;  ///< oldest first
  std::size_t trace_dropped = 0;             ///< earlier attempts that are not in the trace
};

using http_result = again::expected<again::http::response, again::failure<again::http::error>>;

/// Makes an outcome of a result of `retry`; moves the response's body.
inline outcome outcome_of(http_result&& result, std::vector<again::attempt_record> trace, again::duration elapsed) {
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
    o.detail = last->text();
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
  std::vector<again::attempt_record> trace;
  trace.reserve(o.trace.size());
  for (std::size_t i = 0; i < o.trace.size(); ++i) trace.push_back(o.trace[i]);
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

template <class T> json or_null(bool there, const T& value) { return there ? json(value) : json(nullptr); }

inline json to_json(const again::attempt_record& r) {
  const bool responded = r.ok || r.name == "status";
  return {{"attempt", r.attempt},
          {"status", or_null(responded && r.code != 0, r.code)},
          {"error", or_null(!responded && !r.name.empty(), std::string{r.name})},
          {"reach", std::string{name(r.ok ? again::reach::answered : r.reach)}},
          {"wait_ms", milliseconds(r.wait)},
          {"wait_by", or_null(r.by != again::wait_by::none, std::string{name(r.by)})}};
}

inline json to_json(const std::vector<again::attempt_record>& trace) {
  json all = json::array();
  for (const again::attempt_record& r : trace) all.push_back(to_json(r));
  return all;
}

/// Adds the members that every report has; the body is not one of them.
inline void add_to(json& report, const outcome& o) {
  report["ok"] = o.ok;
  report["status"] = or_null(o.status != 0, o.status);
  report["error"] = or_null(!o.error.empty(), std::string{o.error});
  report["reason"] = o.reason ? json(std::string{name(*o.reason)}) : json(nullptr);
  report["attempts"] = o.attempts;
  if (o.redirects > 0) report["redirects"] = o.redirects;
  report["elapsed_ms"] = milliseconds(o.elapsed);
}

inline void add_trace(json& report, const outcome& o) {
  report["trace"] = to_json(o.trace);
  if (o.trace_dropped > 0) report["trace_dropped"] = o.trace_dropped;
}

/// The report of `send`.
inline json report_of(const outcome& o) {
  json report;
  add_to(report, o);
  report["body"] = o.body ? json(*o.body) : json(nullptr);
  add_trace(report, o);
  return report;
}

/// JSON on one line. Bytes that are not UTF-8 become U+FFFD.
inline std::string one_line(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace programs
