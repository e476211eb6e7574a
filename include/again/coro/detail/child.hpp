// SPDX-License-Identifier: MIT
/// \file
/// One argument of `when_all`, `when_any` or `scope::spawn`: a task, an operation (which is started once) or a foreign
/// awaitable. It is stored by value and started in place.
#pragma once

#include <again/coro/detail/attempt.hpp>
#include <again/coro/operation.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class A>
concept child_like = operation<std::decay_t<A>> || awaitable<std::decay_t<A>>;

/// Whether an `A` can be stored: a task that has a name cannot.
template <class A>
concept storable = std::constructible_from<std::decay_t<A>, A>;

/// Of a startable or a foreign awaitable.
template <class A> class child {
  using startable_type = typename started_as<A>::type;

 public:
  using result_type = typename startable_type::result_type;
  explicit child(A&& a) : run_(std::move(a)) {}
  bool start(continuation k, const context& ctx) noexcept { return run_.start(k, ctx); }
  result_type take() { return run_.take(); }
  std::exception_ptr exception() noexcept { return run_.exception(); }

 private:
  startable_type run_;
};

/// Of an operation.
template <operation Op> class child<Op> {
 public:
  using result_type = typename attempt_slot<Op>::result_type;
  explicit child(Op&& op) : op_(std::move(op)) {}
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() = default;
  bool start(continuation k, const context& ctx) noexcept { return slot_.start(op_, k, ctx); }
  result_type take() { return slot_.take(); }
  std::exception_ptr exception() noexcept { return slot_.exception(); }

 private:
  Op op_;
  attempt_slot<Op> slot_;
};

/// The result of a child made from an `A`; may be void.
template <class A> using child_result_t = typename child<std::decay_t<A>>::result_type;

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
