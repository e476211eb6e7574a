// SPDX-License-Identifier: MIT
/// \file
/// `get_context`: a query of P2300's kind for the `context` of what awaits a sender in one of our tasks. The adaptors
/// of the library pass it on, because it is a forwarding query. So deadline and "is a repeated attempt" reach an
/// operation of ours through senders.
#pragma once

#include <again/coro/context.hpp>
#include <again/execution/library.hpp>

#include <concepts>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

struct get_context_t {
  static constexpr bool query(lib::forwarding_query_t) noexcept { return true; }
};

template <class Env>
concept knows_context = requires(const Env& env) {
  { env.query(get_context_t{}) } noexcept -> std::same_as<const context*>;
};

/// Null if what awaits is none of ours.
template <class Env> const context* context_of(const Env& env) noexcept {
  if constexpr (knows_context<Env>) {
    return env.query(get_context_t{});
  } else {
    return nullptr;
  }
}

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
