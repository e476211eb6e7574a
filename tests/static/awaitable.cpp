// SPDX-License-Identifier: MIT
#include <again/coro/awaitable.hpp>
#include <again/coro/task.hpp>

#include <coroutine>
#include <string>
#include <type_traits>

namespace theirs {

struct own_awaiter {
  bool await_ready();
  void await_suspend(std::coroutine_handle<>);
  int await_resume();
};
struct with_member {
  own_awaiter operator co_await();
};
struct with_function {};
own_awaiter operator co_await(with_function);
struct member_for_rvalues_only {
  own_awaiter operator co_await() &&;
};
struct no_resume {
  bool await_ready();
  void await_suspend(std::coroutine_handle<>);
};
struct start_may_throw {
  using result_type = int;
  bool start(again::continuation, const again::context&);
  int take();
  std::exception_ptr exception() noexcept;
};

}  // namespace theirs

using namespace theirs;

static_assert(again::awaitable<own_awaiter>);
static_assert(again::awaitable<own_awaiter&>);
static_assert(again::awaitable<with_member>);
static_assert(again::awaitable<with_function>);
static_assert(again::awaitable<member_for_rvalues_only>);
static_assert(!again::awaitable<member_for_rvalues_only&>);
static_assert(again::awaitable<std::suspend_always>);
static_assert(again::awaitable<again::task<int>>);
static_assert(!again::awaitable<no_resume>);
static_assert(!again::awaitable<int>);
static_assert(!again::awaitable<std::string>);
static_assert(!again::awaitable<void>);

static_assert(again::startable<again::task<int>> && again::startable<again::task<>>);
static_assert(!again::startable<own_awaiter>);
static_assert(!again::startable<start_may_throw>);
static_assert(!again::startable<int>);

static_assert(std::is_same_v<again::await_result_t<own_awaiter>, int>);
static_assert(std::is_same_v<again::await_result_t<again::task<std::string>>, std::string>);
static_assert(std::is_same_v<again::await_result_t<again::task<int&>>, int&>);
static_assert(std::is_void_v<again::await_result_t<again::task<>>>);

// A task moves and runs once: a named one is awaited with std::move.
template <class T>
concept awaited_by_name = requires(T& t) { t.operator co_await(); };
static_assert(!awaited_by_name<again::task<int>>);
static_assert(std::is_nothrow_move_constructible_v<again::task<int>>);
static_assert(!std::is_copy_constructible_v<again::task<int>>);
