// SPDX-License-Identifier: MIT
// The flags that `send` and `deliver` share: the policy, the rules and the bounds of a retry over HTTP.
#pragma once

#include "any_transport.hpp"
#include "options.hpp"

#include <again/http/client.hpp>
#include <again/http/presets.hpp>
#include <again/httplib/transport.hpp>
#include <again/policy/policy.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace programs {

/// The value that a parser of the library found; throws usage_error with its complaint.
template <class T> T taken(again::expected<T, again::http::invalid> parsed) {
  if (!parsed) throw usage_error{parsed.error().text()};
  return *std::move(parsed);
}

/// What holds where a flag does not say otherwise.
struct retry_defaults {
  int attempts = again::policy{}.attempts;
  again::duration_with_unit attempt_timeout = again::policy{}.attempt_timeout;
  again::http::rules rules{};
};

class retry_options {
 public:
  again::policy policy{};
  again::http::rules rules{};
  again::http::send_limits limits{};
  again::http::headers headers{};
  std::string cacert;
  bool deny_private = false;
  transport_kind transport = transport_kind::httplib;
  std::optional<std::uint64_t> seed;
  bool no_wait = false;
  bool verbose = false;

  void add_to(options& o) {
    o.heading("Attempts, waits and bounds");
    o.with("--attempts", "N", "number of sends, the first included (4)",
           [this](std::string_view v) { attempts_ = number_in<int>(v, 1, again::unlimited); });
    o.with("--base", "D", "the first delay (100ms)", [this](std::string_view v) { base_ = duration_of(v); });
    o.with("--cap", "D", "the longest delay (10s)", [this](std::string_view v) { cap_ = duration_of(v); });
    o.with("--factor", "X", "the factor of exponential backoff (2)",
           [this](std::string_view v) { factor_ = decimal(v); });
    o.with("--backoff", "KIND",
           "constant linear exponential fibonacci decorrelated polly_v2, or a series: fixed:1s,2s,5s",
           [this](std::string_view v) { kind_ = backoff_named(v); });
    o.with("--jitter", "KIND", "none full equal, or a share: 0.25 (full)",
           [this](std::string_view v) { policy.jitter = jitter_named(v); });
    o.with("--seed", "N", "the seed of the jitter, to repeat a run", [this](std::string_view v) {
      seed = number_in<std::uint64_t>(v, 0, std::numeric_limits<std::uint64_t>::max());
    });
    o.with("--attempt-timeout", "D", "bound on one attempt (10s, or the deadline where that is less)",
           [this](std::string_view v) { attempt_timeout_ = duration_of(v); });
    o.with("--connect-timeout", "D", "bound on connecting (5s)",
           [this](std::string_view v) { limits.connect = positive(v); });
    o.with("--deadline", "D", "bound on everything (30s)",
           [this](std::string_view v) { policy.deadline = duration_of(v); });
    o.with("--max-body", "SIZE", "the largest response (16MiB)",
           [this](std::string_view v) { limits.max_body = size_of(v); });
    o.on("--no-wait", "compute and record the waits without sleeping", no_wait);

    o.heading("What is retried");
    o.with("--rules", "NAME",
           "rfc9110 curl urllib3 go_retryablehttp reqwest_retry apache5 got ky okhttp axios_retry none ...",
           [this](std::string_view v) { rules_ = taken(again::http::parse_rules(v)); });
    o.with("--retry-statuses", "LIST", "statuses to retry, such as 429,500-504",
           [this](std::string_view v) { statuses_ = taken(again::http::parse_status_set(v)); });
    o.with("--retry-methods", "LIST", "methods that may be repeated after a send; or any",
           [this](std::string_view v) { methods_ = taken(again::http::parse_method_set(v)); });
    o.with("--retry-errors", "LIST", "errors to retry, such as refused,reset,timeout",
           [this](std::string_view v) { errors_ = taken(again::http::parse_error_set(v)); });
    o.with("--retry-after", "WHAT", "obey or ignore the server's Retry-After (obey)",
           [this](std::string_view v) { obey_ = one_of(v, "obey", "ignore"); });
    o.with("--retry-after-max", "D", "the longest Retry-After that is obeyed (1h)",
           [this](std::string_view v) { wish_max_ = duration_of(v); });
    o.with("--over-max", "WHAT", "for a longer Retry-After: stop, or clamp to the maximum (stop)",
           [this](std::string_view v) { clamp_ = !one_of(v, "stop", "clamp"); });

    o.heading("Other options");
    o.with("-H", "'NAME: VALUE'", "a header field; may be repeated", [this](std::string_view v) { add_header(v); });
    o.with("--cacert", "FILE", "PEM file of the certificates to trust", [this](std::string_view v) {
      cacert = v;
      if (const auto bad = again::http::validate_cacert(cacert)) throw usage_error{bad->text()};
    });
    o.on("--deny-private", "send to public addresses alone, also after redirects (not to loopback, private, ...)",
         deny_private);
    o.with("--transport", "KIND", "httplib: a thread for each attempt; beast: one thread for all (httplib)",
           [this](std::string_view v) { transport = transport_named(v); });
    o.on("-v", "print one line per attempt to stderr", verbose);
  }

  /// Call after parsing. Combines the flags; throws usage_error naming the flag whose value does not fit.
  void finish(const retry_defaults& otherwise = {}) {
    policy.attempts = attempts_.value_or(otherwise.attempts);
    policy.attempt_timeout = otherwise.attempt_timeout;
    if (attempt_timeout_) policy.attempt_timeout = *attempt_timeout_;
    rules = rules_.value_or(otherwise.rules);
    again::backoff& b = policy.backoff;
    if (kind_) b = *kind_;
    if (b.kind != again::backoff::kinds::fixed) {
      const bool constant = b.kind == again::backoff::kinds::constant;
      b.base = base_.value_or(std::chrono::milliseconds{100});
      b.cap = cap_.value_or(constant ? again::forever : std::max(b.base, again::duration{std::chrono::seconds{10}}));
      b.factor = factor_.value_or(2);
    }
    if (const auto broken = validate(policy)) throw usage_error{complaint(*broken)};
    if (statuses_) {
      rules.statuses = *statuses_;
      rules.any_method_statuses = rules.any_method_statuses - (rules.any_method_statuses - *statuses_);
    }
    if (methods_) rules.methods = *methods_;
    if (errors_) rules.errors = *errors_;
    if (!obey_) {
      rules.respect_retry_after = {};
      rules.rate_limit_headers = false;
    }
    if (wish_max_) rules.max_retry_after = *wish_max_;
    if (clamp_) rules.over_max = *clamp_ ? again::over_max::cap : again::over_max::stop;
    policy.server_delay_max = rules.max_retry_after;  // the same bound, so that the schedule tells it
    policy.server_delay_over = rules.over_max;
    const again::duration each = again::attempt_bound(policy);
    limits.idle = std::max(limits.idle, each);  // --attempt-timeout is the bound that ends an attempt
    limits.total = std::max(limits.total, each);
    limits.connect = std::min(limits.connect, limits.total);
  }

  /// `connections`: attempts at a time.
  transport_settings transport_for(std::size_t connections) const {
    return {.kind = transport, .cacert = cacert, .deny_private = deny_private, .connections = connections};
  }
  again::http::client_options client_options() const { return {.limits = limits, .rules = rules, .headers = headers}; }

 private:
  static again::duration positive(std::string_view text) {
    const again::duration d = duration_of(text);
    if (d <= again::duration::zero()) throw usage_error{"must be more than 0"};
    return d;
  }
  static bool one_of(std::string_view text, std::string_view yes, std::string_view no) {
    if (text != yes && text != no) throw usage_error{fmt::format("'{}' is neither {} nor {}", text, yes, no)};
    return text == yes;
  }
  static again::backoff backoff_named(std::string_view text) {
    using kinds = again::backoff::kinds;
    if (text.starts_with("fixed:")) {
      again::backoff b{.kind = kinds::fixed};
      std::size_t delays = 0;
      for (std::string_view rest = text.substr(6); !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        if (delays == b.series.size()) throw usage_error{fmt::format("at most {} delays", b.series.size())};
        b.series[delays++] = duration_of(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
      b.series_size = static_cast<std::int8_t>(delays);
      if (delays == 0) throw usage_error{"needs a series of delays: fixed:1s,2s,5s"};
      return b;
    }
    for (const auto& [name, kind] : {std::pair{std::string_view{"constant"}, kinds::constant},
                                     {"linear", kinds::linear},
                                     {"exponential", kinds::exponential},
                                     {"fibonacci", kinds::fibonacci},
                                     {"decorrelated", kinds::decorrelated},
                                     {"polly_v2", kinds::polly_v2}}) {
      if (name == text) return {.kind = kind};
    }
    throw usage_error{fmt::format("no backoff is called '{}'; there are: constant, linear, exponential, fibonacci, "
                                  "decorrelated, polly_v2, fixed:1s,2s,5s",
                                  text)};
  }
  static again::jitter jitter_named(std::string_view text) {
    if (text == "none") return again::jitter::none;
    if (text == "full") return again::jitter::full;
    if (text == "equal") return again::jitter::equal;
    try {
      return again::jitter::proportional(decimal(text));
    } catch (const usage_error&) {
      throw usage_error{
          fmt::format("no jitter is called '{}'; there are: none, full, equal, or a share such as 0.25", text)};
    }
  }
  void add_header(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0) throw usage_error{"a header field is written 'Name: value'"};
    headers.add(std::string{text.substr(0, colon)}, text.substr(colon + 1));
  }
  static std::string complaint(again::policy_rule broken) {
    using rule = again::policy_rule;
    switch (broken) {
      case rule::attempts_must_be_at_least_1: return "--attempts must be at least 1";
      case rule::unlimited_attempts_need_a_deadline: return "--attempts without a limit needs a --deadline";
      case rule::unlimited_attempts_need_a_backoff: return "--attempts without a limit needs a --base above 0";
      case rule::backoff_must_not_be_negative: return "--base and --cap must not be negative";
      case rule::backoff_base_must_not_exceed_cap:
        return "--base must not exceed --cap: lower the one or raise the other";
      case rule::backoff_factor_must_be_at_least_1: return "--factor must be from 1 to 1000000000";
      case rule::backoff_series_must_not_be_empty: return "--backoff fixed: needs one to ten delays";
      case rule::jitter_share_must_be_between_0_and_1: return "--jitter as a share must be between 0 and 1";
      case rule::attempt_timeout_must_be_positive: return "--attempt-timeout must be more than 0";
      case rule::attempt_timeout_must_not_exceed_deadline:
        return "--attempt-timeout must not exceed --deadline (30s unless given): lower the one or raise the other";
      case rule::deadline_must_be_positive: return "--deadline must be more than 0";
      case rule::server_delay_max_must_not_be_negative: return "--retry-after-max must not be negative";
    }
    return std::string{name(broken)};
  }

  std::optional<int> attempts_;
  std::optional<again::duration> attempt_timeout_;
  std::optional<again::http::rules> rules_;
  std::optional<again::backoff> kind_;
  std::optional<again::duration> base_, cap_, wish_max_;
  std::optional<double> factor_;
  std::optional<again::http::status_set> statuses_;
  std::optional<again::http::method_set> methods_;
  std::optional<again::http::error_set> errors_;
  bool obey_ = true;
  std::optional<bool> clamp_;
};

}  // namespace programs
