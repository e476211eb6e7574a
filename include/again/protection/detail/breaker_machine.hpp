// SPDX-License-Identifier: MIT
/// \file
/// The circuit breaker's state machine: pure, constexpr, single-threaded, with the time passed in. tests/models/breaker.pml
/// is the same machine in Promela.
///
/// ```text
///            consecutive failures, or their rate, or trip()
///   closed ──────────────────────────────────────────────▶ open ◀──────────┐
///     ▲                                                      │ admit(), when │ a probe fails: a longer break
///     │ as many probes as allowed have succeeded             ▼ the break ends│
///     └────────────────────────────────────────────────── half_open ────────┘
///   isolate() goes to isolated from anywhere, close() to closed from anywhere
/// ```
#pragma once

#include <again/core/clock.hpp>
#include <again/protection/breaker_rules.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class breaker_machine {
 public:
  constexpr explicit breaker_machine(const breaker_rules& r) : rules_{r}, break_{r.open_for} {
    if (const char* const wrong = complaint(r)) throw std::invalid_argument{wrong};
  }

  struct admit_result {
    bool admitted = false;
    std::uint64_t epoch = 0;  ///< of an admitted call: passed back with its outcome
    time_point ask_at{};      ///< of a refused one: not before then
  };

  constexpr admit_result admit(time_point now) noexcept {
    if (state_ == breaker_state::open && now >= until_) enter(breaker_state::half_open);
    switch (state_) {
      case breaker_state::closed: return {true, epoch_, {}};
      case breaker_state::open: return {false, epoch_, until_};
      case breaker_state::half_open:
        if (probing_ + proven_ >= rules_.probes) return {false, epoch_, saturating_add(now, rules_.open_for)};
        ++probing_;
        return {true, epoch_, {}};
      case breaker_state::isolated: return {false, epoch_, never};
    }
    return {};
  }

  // Reports the outcome of a call that was admitted in `epoch`. It is ignored if the state has changed since.
  constexpr void succeeded(std::uint64_t epoch, time_point now) noexcept {
    if (epoch != epoch_) return;
    if (state_ == breaker_state::closed) {
      run_ = 0;
      if (rules_.rate > 0) ++slot(now).good;
    } else if (state_ == breaker_state::half_open) {
      --probing_;
      if (++proven_ == rules_.probes) enter(breaker_state::closed);
    }
  }
  constexpr void failed(std::uint64_t epoch, time_point now) noexcept {
    if (epoch != epoch_) return;
    if (state_ == breaker_state::half_open) {
      open(now, longer(break_));
    } else if (state_ == breaker_state::closed) {
      ++run_;
      bool trips = rules_.consecutive > 0 && run_ >= rules_.consecutive;
      if (rules_.rate > 0) {
        ++slot(now).bad;
        trips = trips || too_many();
      }
      if (trips) open(now, rules_.open_for);
    }
  }
  constexpr void abandoned(std::uint64_t epoch) noexcept {
    if (epoch == epoch_ && state_ == breaker_state::half_open) --probing_;
  }

  // Manual control.
  constexpr void trip(time_point now) noexcept {
    if (state_ == breaker_state::isolated) return;  // only close() ends that
    open(now, state_ == breaker_state::half_open ? longer(break_) : break_);
  }
  constexpr void isolate() noexcept { enter(breaker_state::isolated); }
  constexpr void close() noexcept { enter(breaker_state::closed); }

  constexpr breaker_state state() const noexcept { return state_; }
  constexpr time_point until() const noexcept { return state_ == breaker_state::isolated ? never : until_; }
  constexpr std::uint64_t epoch() const noexcept { return epoch_; }
  constexpr int probing() const noexcept { return probing_; }
  constexpr int proven() const noexcept { return proven_; }
  constexpr int run() const noexcept { return run_; }
  /// True if a success now would change nothing.
  constexpr bool quiet() const noexcept { return state_ == breaker_state::closed && run_ == 0 && rules_.rate == 0; }
  constexpr const breaker_rules& rules() const noexcept { return rules_; }

 private:
  static constexpr std::int64_t slots = 10;
  struct outcomes {
    std::int64_t good = 0;
    std::int64_t bad = 0;
  };

  constexpr void enter(breaker_state next) noexcept {
    state_ = next;
    ++epoch_;
    run_ = probing_ = proven_ = 0;
    if (next == breaker_state::closed) {
      window_ = {};
      break_ = rules_.open_for;
    }
  }
  constexpr void open(time_point now, duration span) noexcept {
    enter(breaker_state::open);
    break_ = span;
    until_ = saturating_add(now, span);
  }
  constexpr duration longer(duration span) const noexcept {
    const duration next = saturating_scale(span, rules_.growth);
    return next < rules_.open_max ? next : rules_.open_max;
  }
  constexpr bool too_many() const noexcept {
    outcomes all;
    for (const outcomes& o : window_) {
      all.good += o.good;
      all.bad += o.bad;
    }
    const std::int64_t calls = all.good + all.bad;
    return calls >= rules_.least && static_cast<double>(all.bad) >= rules_.rate * static_cast<double>(calls);
  }
  constexpr outcomes& slot(time_point now) noexcept {
    const std::int64_t width = (rules_.window.count() - 1) / slots + 1;
    const std::int64_t number = now.time_since_epoch().count() / width;
    if (number > newest_) {
      const std::int64_t expired = number - newest_ < slots ? number - newest_ : slots;
      for (std::int64_t i = 0; i < expired; ++i) window_[static_cast<std::size_t>((number - i) % slots)] = {};
      newest_ = number;
    }
    return window_[static_cast<std::size_t>(newest_ % slots)];
  }

  breaker_rules rules_;
  breaker_state state_ = breaker_state::closed;
  std::uint64_t epoch_ = 0;
  int run_ = 0;      // closed: failures since the last success
  int probing_ = 0;  // half open: probes whose outcome is not known
  int proven_ = 0;   // half open: probes that have succeeded
  duration break_;
  time_point until_{};
  std::int64_t newest_ = 0;
  std::array<outcomes, slots> window_{};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
