// SPDX-License-Identifier: MIT
/// \file
/// `context`: what an await inherits from the coroutine that awaits: scheduler, stop token, nearest deadline, and whether an
/// outer retry is already repeating. It travels down by pointer and costs nothing where nobody looks.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>

#include <concepts>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

class scheduler;

/// What a context's `deadline` is, so that whoever is stopped by it can say why.
enum class deadline_kind : std::uint8_t {
  none,     ///< there is none
  attempt,  ///< `attempt_timeout` of the nearest retry: its end is a failed attempt
  overall,  ///< the end of everything
};

/// Lifetime: belongs to the awaiting side and outlives what was started with it.
struct context {
  again::scheduler* scheduler = nullptr;
  inplace_stop_token stop{};
  time_point deadline = never;  ///< the nearest bound, on the scheduler's clock; it arrives as a stop request
  deadline_kind kind = deadline_kind::none;  ///< what `deadline` is
  bool repeated = false;                     ///< inside a repeated attempt: a retry in here makes a single one
};

/// A promise that knows its context: every coroutine type can take part by a member `const context* context() const noexcept`,
/// which must not give null while the coroutine runs.
template <class Promise>
concept context_provider = requires(const Promise& promise) {
  { promise.context() } -> std::same_as<const again::context*>;
};

}  // namespace AGAIN_ABI
}  // namespace again
