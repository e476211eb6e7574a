// SPDX-License-Identifier: MIT
#include <again/coro/context.hpp>

#include <doctest/doctest.h>

#include <type_traits>

namespace {
struct knows {
  const again::context* context() const noexcept { return nullptr; }
};
struct returns_something_else {
  again::context* context() const noexcept { return nullptr; }
};
struct not_const {
  const again::context* context() noexcept { return nullptr; }
};
}  // namespace

static_assert(again::context_provider<knows>);
static_assert(!again::context_provider<returns_something_else> && !again::context_provider<not_const> &&
              !again::context_provider<int>);
static_assert(std::is_trivially_copyable_v<again::context>);

TEST_CASE("a default context has no stop token, no deadline, and is not repeated") {
  const again::context none;
  CHECK(none.scheduler == nullptr);
  CHECK_FALSE(none.stop.stop_possible());
  CHECK(none.deadline == again::never);
  CHECK(none.kind == again::deadline_kind::none);
  CHECK_FALSE(none.repeated);
}
