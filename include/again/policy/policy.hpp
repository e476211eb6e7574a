// SPDX-License-Identifier: MIT
/// \file
/// `policy`: how often, how long and with what waits. Data: trivially copyable, constexpr, comparable, made with designated
/// initializers. `checked` refuses a nonsense policy at compile time, `validate` tells the broken rule at run time.
///
/// ```cpp
/// constexpr auto polite = again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .deadline = 5s});
/// ```
///
/// | member | default | why |
/// |---|---|---|
/// | `attempts` | 4 | three retries ride out a restart or a lost packet; more only add load to what is down |
/// | `backoff` | `exponential(100ms, 10s)` | the first retry is soon, the last leaves a failing peer alone |
/// | `jitter` | `full` | least total work under contention (AWS Architecture Blog) |
/// | `attempt_timeout` | 10 s, or the deadline where that is less | a hung peer costs one attempt, not the call |
/// | `deadline` | 30 s | the patience of a person, and of most proxies |
/// | `server_delay_max` | 1 h | a longer wish cannot be meant for a waiting caller |
/// | `server_delay_over` | `stop` | coming earlier than asked is worse than telling the caller |
#pragma once

#include <again/policy/backoff.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {

/// For `policy::attempts`: as many as fit before the deadline (which must then be finite).
inline constexpr int unlimited = std::numeric_limits<int>::max();

/// For `policy::attempt_timeout`: 10 s, or the deadline where that is less.
inline constexpr duration automatic = duration{-1};

/// What to do when the server asks for a longer wait than is allowed.
enum class over_max : std::uint8_t {
  stop,  ///< end with `stop_reason::server_delay_too_long`
  cap,   ///< wait as long as is allowed
};

struct policy {
  int attempts = 4;  ///< sends in all, the first included
  again::backoff backoff = exponential(std::chrono::milliseconds{100}, std::chrono::seconds{10});
  again::jitter jitter = again::jitter::full;
  duration attempt_timeout = automatic;  ///< bound on one attempt; `forever`: none
  duration deadline =
      std::chrono::seconds{30};  ///< bound on everything, from the start of the first attempt; `forever`: none
  duration server_delay_max = std::chrono::hours{1};
  over_max server_delay_over = over_max::stop;

  friend constexpr bool operator==(const policy&, const policy&) = default;
};
static_assert(std::is_trivially_copyable_v<policy>);

/// The bound on one attempt with `automatic` resolved.
constexpr duration attempt_bound(const policy& p) noexcept {
  constexpr duration usual = std::chrono::seconds{10};
  return p.attempt_timeout != automatic ? p.attempt_timeout : p.deadline < usual ? p.deadline : usual;
}

/// The rules a policy must keep; the names are the messages.
enum class policy_rule : std::uint8_t {
  attempts_must_be_at_least_1,
  unlimited_attempts_need_a_deadline,
  unlimited_attempts_need_a_backoff,
  backoff_must_not_be_negative,
  backoff_base_must_not_exceed_cap,
  backoff_factor_must_be_at_least_1,
  backoff_series_must_not_be_empty,
  jitter_share_must_be_between_0_and_1,
  attempt_timeout_must_be_positive,
  attempt_timeout_must_not_exceed_deadline,
  deadline_must_be_positive,
  server_delay_max_must_not_be_negative,
};

/// The rule's name, as written above.
constexpr std::string_view name(policy_rule rule) noexcept {
  switch (rule) {
    case policy_rule::attempts_must_be_at_least_1: return "attempts_must_be_at_least_1";
    case policy_rule::unlimited_attempts_need_a_deadline: return "unlimited_attempts_need_a_deadline";
    case policy_rule::unlimited_attempts_need_a_backoff: return "unlimited_attempts_need_a_backoff";
    case policy_rule::backoff_must_not_be_negative: return "backoff_must_not_be_negative";
    case policy_rule::backoff_base_must_not_exceed_cap: return "backoff_base_must_not_exceed_cap";
    case policy_rule::backoff_factor_must_be_at_least_1: return "backoff_factor_must_be_at_least_1";
    case policy_rule::backoff_series_must_not_be_empty: return "backoff_series_must_not_be_empty";
    case policy_rule::jitter_share_must_be_between_0_and_1: return "jitter_share_must_be_between_0_and_1";
    case policy_rule::attempt_timeout_must_be_positive: return "attempt_timeout_must_be_positive";
    case policy_rule::attempt_timeout_must_not_exceed_deadline: return "attempt_timeout_must_not_exceed_deadline";
    case policy_rule::deadline_must_be_positive: return "deadline_must_be_positive";
    case policy_rule::server_delay_max_must_not_be_negative: return "server_delay_max_must_not_be_negative";
  }
  return "unknown";
}

/// The first rule that `p` breaks, or nothing. Never throws, usable in constant expressions.
constexpr std::optional<policy_rule> validate(const policy& p) noexcept {
  const again::backoff& b = p.backoff;
  const bool series = b.kind == again::backoff::kinds::fixed;
  if (p.attempts < 1) return policy_rule::attempts_must_be_at_least_1;
  if (p.deadline <= duration::zero()) return policy_rule::deadline_must_be_positive;
  if (p.attempts == unlimited && p.deadline == forever) return policy_rule::unlimited_attempts_need_a_deadline;
  if (series) {
    if (b.series_size < 1 || b.series_size > again::backoff::series_capacity)
      return policy_rule::backoff_series_must_not_be_empty;
    for (int i = 0; i < b.series_size; ++i) {
      if (b.series[static_cast<std::size_t>(i)] < duration::zero()) return policy_rule::backoff_must_not_be_negative;
    }
  } else {
    if (b.base < duration::zero() || b.cap < duration::zero()) return policy_rule::backoff_must_not_be_negative;
    if (b.base > b.cap) return policy_rule::backoff_base_must_not_exceed_cap;
    if (!(b.factor >= 1) || b.factor > 1e9) return policy_rule::backoff_factor_must_be_at_least_1;
  }
  if (p.attempts == unlimited && nominal_delay(b, 1'000) <= duration::zero()) {
    return policy_rule::unlimited_attempts_need_a_backoff;
  }
  if (p.jitter.kind == again::jitter::kinds::proportional && !(p.jitter.share >= 0 && p.jitter.share <= 1)) {
    return policy_rule::jitter_share_must_be_between_0_and_1;
  }
  if (p.attempt_timeout != automatic) {
    if (p.attempt_timeout <= duration::zero()) return policy_rule::attempt_timeout_must_be_positive;
    if (p.attempt_timeout > p.deadline && p.attempt_timeout != forever) {
      return policy_rule::attempt_timeout_must_not_exceed_deadline;
    }
  }
  if (p.server_delay_max < duration::zero()) return policy_rule::server_delay_max_must_not_be_negative;
  return std::nullopt;
}

namespace broken_policy {
// Declared and never defined: calling one in a constant expression makes the compiler print its name.
void attempts_must_be_at_least_1();
void unlimited_attempts_need_a_deadline();
void unlimited_attempts_need_a_backoff();
void backoff_must_not_be_negative();
void backoff_base_must_not_exceed_cap();
void backoff_factor_must_be_at_least_1();
void backoff_series_must_not_be_empty();
void jitter_share_must_be_between_0_and_1();
void attempt_timeout_must_be_positive();
void attempt_timeout_must_not_exceed_deadline();
void deadline_must_be_positive();
void server_delay_max_must_not_be_negative();
}  // namespace broken_policy

/// A policy known to keep the rules: what `checked` returns and what the combinators take.
/// From a run-time policy: throws `std::invalid_argument` naming the broken rule (use `validate` to ask without throwing).
class checked_policy {
 public:
  constexpr checked_policy(const policy& p)
      : policy_{p} {  // implicit: a policy may stand wherever a checked one is asked for
    if (const auto rule = validate(p)) throw std::invalid_argument{"again::policy: " + std::string{name(*rule)}};
  }
  /// One attempt with nothing but a deadline, which must be positive: a `timeout`. Made in place, without a copy.
  static constexpr checked_policy one_attempt(duration deadline) { return checked_policy{once{}, deadline}; }

  constexpr operator const policy&() const noexcept { return policy_; }
  constexpr const policy* operator->() const noexcept { return &policy_; }
  constexpr const policy& operator*() const noexcept { return policy_; }
  friend constexpr bool operator==(const checked_policy&, const checked_policy&) = default;

 private:
  struct once {};
  constexpr checked_policy(once, duration deadline)
      : policy_{.attempts = 1,
                .backoff = constant(duration::zero()),
                .jitter = jitter::none,
                .attempt_timeout = forever,
                .deadline = deadline} {
    if (deadline <= duration::zero()) throw std::invalid_argument{"again::policy: deadline_must_be_positive"};
  }
  policy policy_;
};

/// `p`, or a compile error whose text names the broken rule, such as `attempts_must_be_at_least_1`.
consteval checked_policy checked(policy p) {
  if (const auto rule = validate(p)) {
    switch (*rule) {
      case policy_rule::attempts_must_be_at_least_1: broken_policy::attempts_must_be_at_least_1(); break;
      case policy_rule::unlimited_attempts_need_a_deadline: broken_policy::unlimited_attempts_need_a_deadline(); break;
      case policy_rule::unlimited_attempts_need_a_backoff: broken_policy::unlimited_attempts_need_a_backoff(); break;
      case policy_rule::backoff_must_not_be_negative: broken_policy::backoff_must_not_be_negative(); break;
      case policy_rule::backoff_base_must_not_exceed_cap: broken_policy::backoff_base_must_not_exceed_cap(); break;
      case policy_rule::backoff_factor_must_be_at_least_1: broken_policy::backoff_factor_must_be_at_least_1(); break;
      case policy_rule::backoff_series_must_not_be_empty: broken_policy::backoff_series_must_not_be_empty(); break;
      case policy_rule::jitter_share_must_be_between_0_and_1:
        broken_policy::jitter_share_must_be_between_0_and_1();
        break;
      case policy_rule::attempt_timeout_must_be_positive: broken_policy::attempt_timeout_must_be_positive(); break;
      case policy_rule::attempt_timeout_must_not_exceed_deadline:
        broken_policy::attempt_timeout_must_not_exceed_deadline();
        break;
      case policy_rule::deadline_must_be_positive: broken_policy::deadline_must_be_positive(); break;
      case policy_rule::server_delay_max_must_not_be_negative:
        broken_policy::server_delay_max_must_not_be_negative();
        break;
    }
  }
  return checked_policy{p};
}

}  // namespace AGAIN_ABI
}  // namespace again
