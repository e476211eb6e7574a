// SPDX-License-Identifier: MIT
/// \file
/// `policy`: how many attempts a call makes, how long it may take, and how it waits between attempts. A policy is data:
/// trivially copyable, constexpr, comparable, made with designated initializers. `checked` refuses a nonsense policy at compile
/// time; `validate` returns the broken rule at run time.
///
/// ```cpp
/// constexpr auto polite = again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .deadline = 5s});
/// if (auto broken = again::validate(from_a_file)) complain(again::name(*broken));
/// ```
///
/// A policy has no state and reads no clock. `retry` measures its durations on the steady clock.
///
/// | member | default | why |
/// |---|---|---|
/// | `attempts` | 4 | three retries outlast a restart or a lost packet; more only add load to a failing peer |
/// | `backoff` | `exponential(100ms, 10s)` | the first retry is soon; later ones leave a failing peer in peace |
/// | `jitter` | `full` | least total work under contention (AWS Architecture Blog) |
/// | `attempt_timeout` | 10 s, or the deadline where that is less | a silent peer costs one attempt, not the call |
/// | `deadline` | 30 s | the patience of a person, and of most proxies |
/// | `server_delay_max` | 1 h | no caller waits longer than that for a response |
/// | `server_delay_over` | `stop` | an error is better than an attempt before the time that the server named |
#pragma once

#include <again/core/detail/enumerators.hpp>
#include <again/policy/backoff.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// For `policy::attempts`: as many as fit before the deadline, which must then be finite.
inline constexpr int unlimited = std::numeric_limits<int>::max();

/// For `policy::attempt_timeout`: 10 s, or the deadline where that is less.
inline constexpr duration automatic = duration{-1};

/// What to do when the server asks for a longer wait than is allowed.
enum class over_max : std::uint8_t {
  stop,  ///< end with `stop_reason::server_delay_too_long`
  cap,   ///< wait as long as is allowed
};

struct policy {
  /// Sends in all, the first included; `unlimited` needs a deadline and a backoff.
  int attempts = 4;
  /// The delay by attempt number.
  again::backoff backoff = exponential(std::chrono::milliseconds{100}, std::chrono::seconds{10});
  /// How the delay is spread at random.
  again::jitter jitter = again::jitter::full;
  /// Bound on one attempt; `forever`: none.
  duration_with_unit attempt_timeout = automatic;
  /// Bound on all attempts and waits together, from the start of the first attempt; `forever`: none.
  duration_with_unit deadline = std::chrono::seconds{30};
  /// The longest wait that a server may ask for (HTTP's Retry-After); `forever`: any.
  duration_with_unit server_delay_max = std::chrono::hours{1};
  /// What to do when it asks for more.
  over_max server_delay_over = over_max::stop;

  friend constexpr bool operator==(const policy&, const policy&) = default;
};
static_assert(std::is_trivially_copyable_v<policy>);

/// The bound on one attempt, where `automatic` is replaced by the duration that it stands for.
constexpr duration attempt_bound(const policy& p) noexcept {
  constexpr duration usual = std::chrono::seconds{10};
  return p.attempt_timeout != automatic ? p.attempt_timeout : p.deadline < usual ? p.deadline : usual;
}

/// The rules that a policy must keep, in the order in which they are checked. Their names are the messages.
enum class policy_rule : std::uint8_t {
  attempts_must_be_at_least_1,
  deadline_must_be_positive,
  unlimited_attempts_need_a_deadline,
  backoff_series_must_not_be_empty,
  backoff_must_not_be_negative,
  backoff_base_must_not_exceed_cap,
  backoff_factor_must_be_at_least_1,
  unlimited_attempts_need_a_backoff,
  jitter_share_must_be_between_0_and_1,
  attempt_timeout_must_be_positive,
  attempt_timeout_must_not_exceed_deadline,
  server_delay_max_must_not_be_negative,
};

namespace detail {

/// Whether a delay that the backoff is made of is negative.
constexpr bool negative(const backoff& b) noexcept {
  if (b.kind != backoff::kinds::fixed) return b.base < duration::zero() || b.cap < duration::zero();
  for (int i = 0; i < b.series_size; ++i)
    if (b.series[static_cast<std::size_t>(i)] < duration::zero()) return true;
  return false;
}

/// Whether `p` keeps `rule`. Each rule may rely on those before it.
constexpr bool keeps(const policy& p, policy_rule rule) noexcept {
  const again::backoff& b = p.backoff;
  const bool series = b.kind == again::backoff::kinds::fixed;
  const bool endless = p.attempts == unlimited;
  const bool bounded_each = p.attempt_timeout != automatic && p.attempt_timeout != forever;
  constexpr auto zero = duration::zero();
  switch (rule) {
    case policy_rule::attempts_must_be_at_least_1: return p.attempts >= 1;
    case policy_rule::deadline_must_be_positive: return p.deadline > zero;
    case policy_rule::unlimited_attempts_need_a_deadline: return !endless || p.deadline != forever;
    case policy_rule::backoff_series_must_not_be_empty:
      return !series || (b.series_size >= 1 && b.series_size <= again::backoff::series_capacity);
    case policy_rule::backoff_must_not_be_negative: return !negative(b);
    case policy_rule::backoff_base_must_not_exceed_cap: return series || b.base <= b.cap;
    case policy_rule::backoff_factor_must_be_at_least_1:
      return series || (b.factor >= 1 && b.factor <= 1e9);  // not NaN
    case policy_rule::unlimited_attempts_need_a_backoff: return !endless || nominal_delay(b, 1'000) > zero;
    case policy_rule::jitter_share_must_be_between_0_and_1:
      return p.jitter.kind != again::jitter::kinds::proportional || (p.jitter.share >= 0 && p.jitter.share <= 1);
    case policy_rule::attempt_timeout_must_be_positive: return !bounded_each || p.attempt_timeout > zero;
    case policy_rule::attempt_timeout_must_not_exceed_deadline: return !bounded_each || p.attempt_timeout <= p.deadline;
    case policy_rule::server_delay_max_must_not_be_negative: return p.server_delay_max >= zero;
  }
  return true;
}

/// Declared and never defined: a call in a constant expression is an error in which the compiler prints the rule.
template <policy_rule Broken> void broken_policy();

}  // namespace detail

/// The rule's name, as written above.
constexpr std::string_view name(policy_rule rule) noexcept { return detail::enumerator_name(rule); }

/// The first rule that `p` breaks, or `nullopt`. Usable in constant expressions.
constexpr std::optional<policy_rule> validate(const policy& p) noexcept {
  for (const policy_rule rule : detail::enumerators<policy_rule>)
    if (!detail::keeps(p, rule)) return rule;
  return std::nullopt;
}

/// A policy that keeps the rules: `checked` returns it and the combinators take it.
class checked_policy {
 public:
  /// Throws `std::invalid_argument` with the name of the broken rule. Implicit: a policy may stand where a checked one is
  /// asked for.
  constexpr checked_policy(const policy& p) : policy_{p} {
    if (const auto rule = validate(p)) refuse(*rule);
  }
  /// One attempt and a deadline, as `timeout` has it. Throws `std::invalid_argument` unless the deadline is positive.
  static constexpr checked_policy one_attempt(duration deadline) { return checked_policy{once{}, deadline}; }

  /// The same policy with a deadline of at most `d`. Nothing is left if that is not positive: a retry ends at once then.
  constexpr checked_policy within(duration d) const noexcept {
    checked_policy nearer = *this;
    if (d < nearer.policy_.deadline) nearer.policy_.deadline = d > duration::zero() ? d : duration::zero();
    return nearer;
  }

  constexpr operator const policy&() const noexcept { return policy_; }
  constexpr const policy* operator->() const noexcept { return &policy_; }
  constexpr const policy& operator*() const noexcept { return policy_; }
  friend constexpr bool operator==(const checked_policy&, const checked_policy&) = default;

 private:
  [[noreturn]] static void refuse(policy_rule broken) {
    throw std::invalid_argument{"again::policy: " + std::string{name(broken)}};
  }
  struct once {};
  constexpr checked_policy(once, duration deadline)
      : policy_{.attempts = 1,
                .backoff = constant(duration::zero()),
                .jitter = jitter::none,
                .attempt_timeout = forever,
                .deadline = deadline} {
    if (!detail::keeps(policy_, policy_rule::deadline_must_be_positive)) {
      refuse(policy_rule::deadline_must_be_positive);
    }
  }
  policy policy_;
};

/// Returns `p`. A policy that breaks a rule is a compile error whose text has the rule's name, such as
/// `attempts_must_be_at_least_1`.
consteval checked_policy checked(policy p) {
  constexpr auto refuse = []<std::size_t... N>(std::index_sequence<N...>) {
    return std::array{&detail::broken_policy<static_cast<policy_rule>(N)>...};
  }(detail::enumerator_indices<policy_rule>{});
  if (const auto rule = validate(p)) refuse[static_cast<std::size_t>(*rule)]();
  return checked_policy{p};
}

}  // namespace AGAIN_ABI
}  // namespace again
