// SPDX-License-Identifier: MIT
#include <again/combinator/catching.hpp>
#include <again/coro/operation.hpp>
#include <again/coro/task.hpp>

#include <exception>
#include <type_traits>

namespace theirs {

using result = again::expected<int, char>;
again::task<result> load(int);
again::task<int> count();

struct makes_tasks {
  again::task<result> operator()() const { return load(1); }
};
struct makes_numbers {
  int operator()() const;
};
struct wants_an_argument {
  again::task<result> operator()(int) const;
};

}  // namespace theirs

using namespace theirs;

static_assert(again::operation<makes_tasks> && again::fallible_operation<makes_tasks>);
static_assert(again::operation<again::task<int> (*)()>);
static_assert(!again::fallible_operation<again::task<int> (*)()>, "it cannot say that it failed");
static_assert(!again::operation<again::task<result>>, "a task runs once");
static_assert(!again::operation<makes_numbers>, "what it returns cannot be awaited");
static_assert(!again::operation<wants_an_argument>);
static_assert(!again::operation<int>);

static_assert(std::is_same_v<again::operation_result_t<makes_tasks>, result>);

using caught = decltype(again::catching(count));
static_assert(again::fallible_operation<caught>);
static_assert(std::is_same_v<again::operation_result_t<caught>, again::expected<int, std::exception_ptr>>);
