// SPDX-License-Identifier: MIT
/// \file
/// `is_repeatable(op)` (in `<again/coro/operation.hpp>`): may the operation be sent a second time while the first may still be acted upon? What `hedge` asks.
///
/// An operation responses by a member `bool repeatable() const`: HTTP sends do (idempotent method or Idempotency-Key, and a body
/// that can be had again), and the combinators, `std::ref` and `catching` pass the response on. One that says nothing may be repeated, as an error type
/// that says nothing may be: what must not be sent twice has to say so.
///
/// ```cpp
/// auto order = again::once_only([&] { return place_order(db, id); });   // never hedged
/// ```
#pragma once

#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>

#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// An operation that says that it must not be sent twice.
template <operation Op> class [[nodiscard]] once_only {
 public:
  explicit once_only(Op op) : op_(std::move(op)) {}
  decltype(auto) operator()() { return op_(); }
  static constexpr bool repeatable() noexcept { return false; }

 private:
  Op op_;
};
template <class Op> once_only(Op&&) -> once_only<detail::stored_t<Op>>;

}  // namespace AGAIN_ABI
}  // namespace again
