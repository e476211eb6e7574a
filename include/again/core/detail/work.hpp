// SPDX-License-Identifier: MIT
/// \file
/// `work`: a node that is posted to a scheduler (`<again/coro/scheduler.hpp>`).
///
/// It is in `core` because stop callbacks are nodes of the same form. So one node can be in the list of a stop source
/// first, and in the queue of a scheduler after the stop request.
#pragma once

#include <again/core/expected.hpp>

#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// A function to run once on a scheduler's thread. The owner keeps it alive until it has begun to run or was forgotten.
struct work {
  void (*run)(work&) noexcept = nullptr;
  // The scheduler uses the members below while the node is posted.
  work* next = nullptr;
  work* previous = nullptr;
  enum class state : std::uint8_t { idle, local, remote } queued = state::idle;
};

}  // namespace AGAIN_ABI
}  // namespace again
