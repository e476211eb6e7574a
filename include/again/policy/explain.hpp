// SPDX-License-Identifier: MIT
/// \file
/// `explain(policy)` describes the schedule of attempts without sending anything; `worst_case(policy)` bounds sends and time, also
/// at compile time. Both call `decide`, as `retry` does, so that they cannot differ from what happens.
///
/// ```cpp
/// static_assert(again::worst_case(polite).sends == 4 && again::worst_case(polite).time <= 5s);
/// fmt::print("{}", again::explain(polite));
/// ```
/// ```text
/// attempt 1  at once
/// attempt 2  after 0 ms ... 100 ms
/// attempt 3  after 0 ms ... 200 ms
/// attempt 4  after 0 ms ... 400 ms
/// each attempt at most 1 s; all of it at most 4 sends and 4.7 s
/// ```
#pragma once

#include <again/policy/decide.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

/// What a call can cost at worst. `time` counts attempts that last until their timeout and the longest waits of the policy. It does
/// not count longer waits that a server asks for; the deadline bounds those as well. `unlimited` and `forever`: no bound.
struct cost_bound {
  int sends = 0;
  duration time{};
  friend constexpr bool operator==(const cost_bound&, const cost_bound&) = default;
};

/// The bounds of a policy. Cost: a loop over the attempts; more than 10 000 of them count as `unlimited`.
constexpr cost_bound worst_case(const policy& p) noexcept {
  constexpr int most = 10'000;
  constexpr double last_draw = 1.0;
  cost_bound bound;

  progress fast;  // every attempt fails at once, every wait is the shortest: the most sends
  for (;; ++fast.attempt) {
    const decision d = decide(p, fast, verdict{}, 0.0);
    if (!d.again) break;
    fast.state = d.state;
    fast.elapsed = saturating_add(fast.elapsed, d.wait);
    if (fast.attempt >= most) {
      fast.attempt = unlimited;
      break;
    }
  }
  bound.sends = fast.attempt;
  if (p.backoff.kind == backoff::kinds::polly_v2) {  // its waits depend on each other: each may be almost zero
    bound.sends = p.attempts <= most ? p.attempts : unlimited;
  }

  const duration each = attempt_bound(p);
  progress slow;  // every attempt lasts until its timeout, every wait is the longest: the most time
  for (;; ++slow.attempt) {
    slow.elapsed = saturating_add(slow.elapsed, each);
    const decision d = slow.attempt >= most ? decision{} : decide(p, slow, verdict{}, last_draw);
    if (!d.again) {
      const bool ran_out = slow.attempt < most && d.stop == stop_reason::attempts_exhausted;
      bound.time = ran_out ? slow.elapsed : duration{p.deadline};  // shorter waits leave time for a further attempt
      break;
    }
    slow.state = d.state;
    slow.elapsed = saturating_add(slow.elapsed, delay_bounds(p.backoff, p.jitter, slow.attempt).most);
  }
  if (bound.time > p.deadline) bound.time = p.deadline;
  return bound;
}

/// A duration for people: "250 ms", "1.5 s", "2 min", "no bound". At most three digits after the point, which is a point in every
/// locale.
inline std::string to_string(duration d) {
  if (d == forever) return "no bound";
  struct unit {
    std::uint64_t ns;
    std::string_view name;
  };
  static constexpr std::array<unit, 6> units{{{3'600'000'000'000, " h"},
                                              {60'000'000'000, " min"},
                                              {1'000'000'000, " s"},
                                              {1'000'000, " ms"},
                                              {1'000, " us"},
                                              {1, " ns"}}};
  const auto count = static_cast<std::uint64_t>(d.count());
  const std::uint64_t size = d < duration::zero() ? 0 - count : count;  // without overflow for the least duration too
  unit u = units[3];
  if (size != 0) {
    for (const unit& candidate : units) {
      u = candidate;
      if (size >= candidate.ns) break;
    }
  }
  const std::uint64_t thousandths = (size % u.ns * 1000 + u.ns / 2) / u.ns;  // 1000 where it is rounded up to a whole
  std::string text{d < duration::zero() ? "-" : ""};
  text.append(std::to_string(size / u.ns + thousandths / 1000));
  if (thousandths % 1000 != 0) {
    const std::string digits = std::to_string(1000 + thousandths % 1000);  // "1235": the zeros after the point are kept
    text.append(".").append(digits, 1, digits.find_last_not_of('0'));
  }
  return text.append(u.name);
}

/// The schedule, a line for each attempt (the first twelve), and the bounds.
inline std::string explain(const policy& p) {
  constexpr int shown = 12;
  const cost_bound bound = worst_case(p);
  std::string text = "attempt 1  at once\n";
  for (int attempt = 2; attempt <= shown && attempt <= bound.sends; ++attempt) {  // every attempt that may happen
    const delay_range range = delay_bounds(p.backoff, p.jitter, attempt - 1);
    text += "attempt " + std::to_string(attempt) + "  ";
    if (range.most == duration::zero()) {
      text += "at once";
    } else if (range.least == range.most) {
      text += "after " + to_string(range.most);
    } else {
      text += "after " + to_string(range.least) + " ... " + to_string(range.most);
    }
    text += '\n';
  }
  if (bound.sends > shown) text += "and so on\n";
  const duration each = attempt_bound(p);
  text += each == forever ? std::string{"no bound on one attempt"} : "each attempt at most " + to_string(each);
  text += "; all of it at most ";
  text += bound.sends == unlimited ? std::string{"any number of"} : std::to_string(bound.sends);
  text += bound.sends == 1 ? " send and " : " sends and ";
  text += to_string(bound.time) + '\n';
  return text;
}

}  // namespace AGAIN_ABI
}  // namespace again
