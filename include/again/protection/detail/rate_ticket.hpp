// SPDX-License-Identifier: MIT
/// \file
/// The ticket of `rate`: it asks for a turn. `admission_run` says what the members mean.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/awaitable.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/detail/admission_run.hpp>

#include <concepts>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// A rate: gives turns, and takes unused ones back.
template <class Shared>
concept rate_like = requires(Shared& s, time_point at) {
  { s.turn(at) } -> std::same_as<time_point>;
  s.give_back(at);
};

/// A rate that adapts to the outcomes of the sends.
template <class Shared>
concept learns = requires(Shared& s, time_point now, const verdict* failed) { s.outcome(now, failed); };

template <class Shared> class rate_ticket {
 public:
  static constexpr bool timed = true;
  explicit rate_ticket(Shared& shared) noexcept : shared_{shared} {}
  rate_ticket(const rate_ticket&) = delete;
  rate_ticket& operator=(const rate_ticket&) = delete;
  ~rate_ticket() = default;

  admission ask(time_point now, scheduler&, continuation) noexcept {
    at_ = shared_.turn(now);
    if (at_ == never) return {.is = admission::state::refused, .reason = stop_reason::overloaded};
    return {.is = admission::state::wait_until, .at = at_};
  }
  void withdraw() noexcept { shared_.give_back(at_); }
  void ended(lazy_time& now, const admission_outcome& how) noexcept {
    if constexpr (learns<Shared>) {
      if (how.ok || how.failed != nullptr) shared_.outcome(now(), how.failed);
    }
  }

 private:
  Shared& shared_;
  time_point at_ = never;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
