// SPDX-License-Identifier: MIT
/// \file
/// Calls of an observer that may be null, and whose exceptions are dropped: the store has it, whatever the observer makes of it.
#pragma once

#include <again/journal/durable_observer.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

inline task<> tell(durable_observer* to, event_end how) {
  if (to == nullptr) co_return;
  try {
    co_await to->ended(how);
  } catch (...) {}
}
inline void tell(durable_observer* to, const error& why) noexcept {
  if (to == nullptr) return;
  try {
    to->store_failed(why);
  } catch (...) {}
}

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
