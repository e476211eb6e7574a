// SPDX-License-Identifier: MIT
/// \file
/// `call_body`: what an edge to another library runs once: an operation, which is started once, or an awaitable. It
/// owns what it is made from, or refers to it if `A` is a reference. A startable, apart from `operator co_await`.
#pragma once

#include <again/coro/detail/attempt.hpp>
#include <again/coro/operation.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class A> class call_body {
 public:
  using startable_type = typename started_as<A>::type;
  using result_type = typename startable_type::result_type;
  template <class From> explicit call_body(std::in_place_t, From&& from) : run_(A(std::forward<From>(from))) {}
  bool start(continuation k, const context& ctx) noexcept { return run_.start(k, ctx); }
  std::exception_ptr exception() noexcept { return run_.exception(); }
  result_type take() { return run_.take(); }

 private:
  startable_type run_;
};

template <class A>
  requires std::is_reference_v<A> && startable<std::remove_cvref_t<A>> && (!operation<std::remove_reference_t<A>>)
class call_body<A> {
  using startable_type = std::remove_cvref_t<A>;

 public:
  using result_type = typename startable_type::result_type;
  explicit call_body(std::in_place_t, startable_type& run) : run_{run} {}
  explicit call_body(std::in_place_t, startable_type&& run) : run_{run} {}
  bool start(continuation k, const context& ctx) noexcept { return run_.start(k, ctx); }
  std::exception_ptr exception() noexcept { return run_.exception(); }
  result_type take() { return run_.take(); }

 private:
  startable_type& run_;
};

template <class A>
  requires operation<std::remove_reference_t<A>>
class call_body<A> {
  using slot = attempt_slot<std::remove_reference_t<A>>;

 public:
  using result_type = typename slot::result_type;
  template <class From> explicit call_body(std::in_place_t, From&& from) : op_(std::forward<From>(from)) {}
  bool start(continuation k, const context& ctx) noexcept { return slot_.start(op_, k, ctx); }
  std::exception_ptr exception() noexcept { return slot_.exception(); }
  result_type take() { return slot_.take(); }

 private:
  A op_;
  slot slot_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
