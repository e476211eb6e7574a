// SPDX-License-Identifier: MIT
/// \file
/// fmt formatters for failures, attempts and policies. Needs fmt 9 or newer, and nothing of HTTP.
///
/// ```cpp
/// fmt::print("gave up: {}\n", quote.error());    // one line: why, after how many attempts, how long, the last error
/// fmt::print("{:#}\n", quote.error());           // the same, and a line for each attempt of its trace
/// ```
///
/// | what | how it looks |
/// |---|---|
/// | `failure<E>` | attempts_exhausted after 4 attempts in 412 ms; last error: 503 Service Unavailable (answered) |
/// | `attempt_record` | attempt 2: 503 (answered) in 1.2 ms, again in 87 ms (backoff) |
/// | `policy` | 4 attempts; exponential(100 ms, 2 s), full jitter; at most 1 s each, 5 s in all |
/// | `backoff`, `jitter`, `cost_bound` | exponential(100 ms, 2 s) · full · at most 4 sends and 4.7 s |
/// | `stop_reason`, `reach`, `disposition`, `wait_by`, `policy_rule` | their names |
///
/// All but `failure<E>` take fmt's string specifications: `{:>12}`. An error type of yours shows up in `failure<E>` by its own
/// formatter, else its `text()`, its `message()`, its `what()`, else by the name in its verdict. Numbers have a decimal point
/// whatever the locale is.
#pragma once

#include <again/core/stop_reason.hpp>
#include <again/policy/attempt_trace.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/explain.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>
#include <again/policy/verdict.hpp>

// g++ 12 at -O3 warns of fmt's parser of specifications, in whoever formats a type of their own.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif
#include <fmt/format.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <concepts>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class T>
concept has_text = requires(const T& value) {
  { value.text() } -> std::convertible_to<std::string_view>;
};

/// Shows the `text()` of a value, else its `name(value)`, with fmt's string specifications.
template <class T> struct text_formatter : fmt::formatter<std::string_view> {
  template <class Context> auto format(const T& value, Context& ctx) const {
    if constexpr (has_text<T>) {
      return fmt::formatter<std::string_view>::format(value.text(), ctx);
    } else {
      return fmt::formatter<std::string_view>::format(name(value), ctx);
    }
  }
};

/// Shows what the function `Text` makes of a value, with fmt's string specifications.
template <auto Text> struct function_formatter : fmt::formatter<std::string_view> {
  template <class T, class Context> auto format(const T& value, Context& ctx) const {
    return fmt::formatter<std::string_view>::format(Text(value), ctx);
  }
};

/// "1 attempt", "4 attempts", "any number of attempts".
inline std::string count_text(int n, std::string_view noun) {
  return n == unlimited ? fmt::format("any number of {}s", noun) : fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

/// "412 ms": a duration to three digits.
inline std::string rounded(duration d) {
  const duration unit = d >= std::chrono::seconds{10}        ? duration{std::chrono::milliseconds{100}}
                        : d >= std::chrono::seconds{1}       ? duration{std::chrono::milliseconds{10}}
                        : d >= std::chrono::milliseconds{10} ? duration{std::chrono::milliseconds{1}}
                        : d >= std::chrono::milliseconds{1}  ? duration{std::chrono::microseconds{100}}
                                                             : duration{std::chrono::microseconds{1}};
  return d == forever ? to_string(d)
                      : to_string(duration{(d.count() + unit.count() / 2) / unit.count() * unit.count()});
}

inline std::string backoff_text(const backoff& b) {
  std::string out;
  using kinds = backoff::kinds;
  const auto two = [&b](std::string_view kind) {
    return fmt::format("{}({}, {})", kind, to_string(b.base), to_string(b.cap));
  };
  switch (b.kind) {
    case kinds::constant: out = fmt::format("constant({})", to_string(b.base)); break;
    case kinds::linear: out = two("linear"); break;
    case kinds::exponential:
      out = b.factor == 2 ? two("exponential")
                          : fmt::format("exponential({}, {}, {})", to_string(b.base), to_string(b.cap), b.factor);
      break;
    case kinds::fibonacci: out = two("fibonacci"); break;
    case kinds::fixed:
      out = "fixed(";
      for (std::size_t i = 0; i < static_cast<std::size_t>(b.series_size); ++i)
        out += (i != 0 ? ", " : "") + to_string(b.series[i]);
      out += ')';
      break;
    case kinds::decorrelated: out = two("decorrelated"); break;
    case kinds::polly_v2: out = two("polly_v2"); break;
  }
  return b.first_at_once ? out + " with the first at once" : out;
}

inline std::string jitter_text(const jitter& j) {
  switch (j.kind) {
    case jitter::kinds::none: return "none";
    case jitter::kinds::full: return "full";
    case jitter::kinds::equal: return "equal";
    case jitter::kinds::proportional: return fmt::format("proportional({})", j.share);
  }
  return "unknown";
}

inline std::string policy_text(const policy& p) {
  std::string out = count_text(p.attempts, "attempt") + "; " + backoff_text(p.backoff);
  if (!p.backoff.random()) out += p.jitter == jitter::none ? ", no jitter" : ", " + jitter_text(p.jitter) + " jitter";
  const duration each = attempt_bound(p);
  out += each == forever ? "; no bound on one" : "; at most " + to_string(each) + " each";
  out += p.deadline == forever ? ", no deadline" : ", " + to_string(p.deadline) + " in all";
  constexpr policy usual{};
  if (p.server_delay_max != usual.server_delay_max || p.server_delay_over != usual.server_delay_over) {
    out += "; a server may ask for ";
    out += p.server_delay_max == forever ? "any wait" : "at most " + to_string(p.server_delay_max);
    if (p.server_delay_over == over_max::cap) out += ", more is cut";
  }
  return out;
}

inline std::string cost_bound_text(const cost_bound& c) {
  return fmt::format("at most {} and {}", count_text(c.sends, "send"), to_string(c.time));
}

inline std::string attempt_text(const attempt_record& r) {
  std::string out = fmt::format("attempt {}: ", r.attempt);
  if (r.code != 0) out += fmt::format("{}", r.code);
  if (!r.ok) {  // a status says all, unless the response failed after it, as a truncated one does
    if (r.code == 0)
      out += r.name.empty() ? std::string_view{"failed"} : r.name;
    else if (!r.name.empty() && r.name != "status")
      out += fmt::format(" {}", r.name);
    out += fmt::format(" ({}{})", name(r.reach), r.timed_out ? ", timed out" : "");
  } else if (r.code == 0) {
    out += "ok";
  }
  if (r.took >= duration::zero()) out += " in " + rounded(r.took);
  if (r.ok) return out;
  if (r.last) return out + fmt::format(", stopped: {}", name(r.stop));
  if (r.by == wait_by::none) return out + ", again at once";
  return out + fmt::format(", again in {} ({})", rounded(r.wait), name(r.by));
}

inline std::string exception_text(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
    return "no exception";
  } catch (const std::exception& caught) { return caught.what(); } catch (...) {
    return "an exception that is no std::exception";
  }
}

template <class E> std::string error_text(const E& e) {
  if constexpr (fmt::is_formattable<E>::value) {
    return fmt::format("{}", e);
  } else if constexpr (has_text<E>) {
    return std::string{std::string_view{e.text()}};
  } else if constexpr (requires { std::string_view{e.message()}; }) {
    return std::string{std::string_view{e.message()}};
  } else if constexpr (requires { std::string_view{e.what()}; }) {
    return std::string{std::string_view{e.what()}};
  } else if constexpr (std::same_as<E, std::exception_ptr>) {
    return exception_text(e);
  } else {
    const verdict v = verdict_of(e);
    return std::string{v.name.empty() ? std::string_view{"an error without a text"} : v.name};
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again

template <> struct fmt::formatter<again::stop_reason> : again::detail::text_formatter<again::stop_reason> {};
template <> struct fmt::formatter<again::reach> : again::detail::text_formatter<again::reach> {};
template <> struct fmt::formatter<again::disposition> : again::detail::text_formatter<again::disposition> {};
template <> struct fmt::formatter<again::wait_by> : again::detail::text_formatter<again::wait_by> {};
template <> struct fmt::formatter<again::policy_rule> : again::detail::text_formatter<again::policy_rule> {};

template <>
struct fmt::formatter<again::backoff> : again::detail::function_formatter<again::detail::backoff_text> {};
template <>
struct fmt::formatter<again::jitter> : again::detail::function_formatter<again::detail::jitter_text> {};
template <>
struct fmt::formatter<again::policy> : again::detail::function_formatter<again::detail::policy_text> {};
template <>
struct fmt::formatter<again::checked_policy> : again::detail::function_formatter<again::detail::policy_text> {};
template <>
struct fmt::formatter<again::cost_bound> : again::detail::function_formatter<again::detail::cost_bound_text> {};
template <>
struct fmt::formatter<again::attempt_record> : again::detail::function_formatter<again::detail::attempt_text> {};

/// `{}`: one line; `{:#}`: and a line for each attempt of the trace.
template <class E> struct fmt::formatter<again::failure<E>> {
  constexpr auto parse(fmt::format_parse_context& ctx) {
    auto at = ctx.begin();
    if (at != ctx.end() && *at == '#') {
      with_trace = true;
      ++at;
    }
    return at;
  }
  template <class Context> auto format(const again::failure<E>& f, Context& ctx) const {
    auto out = fmt::format_to(ctx.out(), "{}", f.reason());
    if (f.attempts() == 0) {
      out = fmt::format_to(out, ", nothing was sent");
    } else {
      out = fmt::format_to(out, " after {} in {}", again::detail::count_text(f.attempts(), "attempt"),
                           again::detail::rounded(f.elapsed()));
    }
    if (f.error() != nullptr) out = fmt::format_to(out, "; last error: {}", again::detail::error_text(*f.error()));
    if (!with_trace) return out;
    if (f.trace().dropped() != 0) out = fmt::format_to(out, "\n  ({} earlier ones are not kept)", f.trace().dropped());
    for (std::size_t i = 0; i < f.trace().size(); ++i) out = fmt::format_to(out, "\n  {}", f.trace()[i]);
    return out;
  }
  bool with_trace = false;
};
