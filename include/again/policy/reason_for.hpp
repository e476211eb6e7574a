// SPDX-License-Identifier: MIT
/// \file
/// The stop reason that an error's disposition stands for, where nothing else decides.
#pragma once

#include <again/core/stop_reason.hpp>
#include <again/policy/verdict.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

constexpr stop_reason reason_for(disposition kind) noexcept {
  switch (kind) {
    case disposition::transient: return stop_reason::attempts_exhausted;
    case disposition::permanent: return stop_reason::permanent;
    case disposition::not_replayable: return stop_reason::not_replayable;
    case disposition::forbidden: return stop_reason::server_forbade;
    case disposition::aborted: return stop_reason::cancelled_in_attempt;
  }
  return stop_reason::attempts_exhausted;
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
