// SPDX-License-Identifier: MIT
/// \file
/// `work`: what is posted to a scheduler (`<again/coro/scheduler.hpp>`). It stands alone because stop callbacks are kept in nodes
/// of the same form: what a stop request wakes is one node, in the list of those that listen first, then in the queue of
/// those that run.
#pragma once

#include <again/core/expected.hpp>

#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// A piece of work to run once on a scheduler's thread. The owner keeps it alive until it has run or was forgotten.
struct work {
  void (*run)(work&) noexcept = nullptr;
  // The rest belongs to the scheduler.
  work* next = nullptr;
  work* previous = nullptr;
  enum class state : std::uint8_t { idle, local, remote } queued = state::idle;
};

}  // namespace AGAIN_ABI
}  // namespace again
