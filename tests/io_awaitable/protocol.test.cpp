// SPDX-License-Identifier: MIT
#include <again/io_awaitable/protocol.hpp>

#include "capy_under_test.hpp"

#include <doctest/doctest.h>

#include <coroutine>
#include <stop_token>
#include <type_traits>

using namespace again_test;

namespace {

// An early form of the protocol: the executor takes a handle.
struct early_executor {
  std::coroutine_handle<> dispatch(std::coroutine_handle<> h) const { return h; }
};
struct early_env {
  early_executor executor;
  std::stop_token stop_token;
};
struct early_awaitable {
  static bool await_ready() noexcept { return true; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h, const early_env* /*env*/) noexcept { return h; }
  static void await_resume() noexcept {}
};
struct plain_awaiter {
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<> /*h*/) noexcept {}
  static void await_resume() noexcept {}
};
struct no_env {
  int executor = 0;
  std::stop_token stop_token;
};

static_assert(again::io_environment<capy::io_env>);
static_assert(again::io_environment<early_env>);
static_assert(!again::io_environment<no_env>);
static_assert(!again::io_environment<int>);
static_assert(again::io_awaitable<capy::task<int>>);
static_assert(again::io_awaitable<early_awaitable>);
static_assert(!again::io_awaitable<plain_awaiter>);
static_assert(!again::io_awaitable<int>);
static_assert(std::is_same_v<again::detail::environment_of<capy::task<int>>, capy::io_env>);
static_assert(std::is_same_v<again::detail::dispatch_argument<early_executor>, std::coroutine_handle<>>);

}  // namespace

TEST_CASE("the protocol is seen by its functions, in both forms of dispatch") {
  CHECK(again::io_awaitable<capy::task<>>);
  CHECK(again::io_awaitable<early_awaitable&>);
}
