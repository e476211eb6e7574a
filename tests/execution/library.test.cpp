// SPDX-License-Identifier: MIT
#include <again/execution.hpp>

#include "execution_under_test.hpp"

#include <doctest/doctest.h>

#include <type_traits>

namespace lib = again::execution::lib;

TEST_CASE("all names of the library of senders come through one namespace") {
  CHECK(std::is_same_v<lib::set_value_t, ex::set_value_t>);
  CHECK(std::is_same_v<lib::get_stop_token_t, ex::get_stop_token_t>);
  CHECK(std::is_same_v<lib::sender_tag, ex::sender_t>);
}

TEST_CASE("our stop token is a stoppable_token of P2300: with a callback_type, and callbacks that are made without "
          "throwing") {
  struct callback {
    void operator()() const noexcept {}
  };
  using token = again::inplace_stop_token;
  CHECK(ex::stoppable_token<token>);
  CHECK(std::is_nothrow_constructible_v<ex::stop_callback_for_t<token, callback>, token, callback>);
}

TEST_CASE(
    "what the edge defines for one library has another name than for the other: units that disagree do not link") {
#if defined(AGAIN_EXECUTION_HEADER)
  CHECK(std::is_same_v<again::execution::loop_scheduler, again::execution::over_another::loop_scheduler>);
#else
  CHECK(std::is_same_v<again::execution::loop_scheduler, again::execution::over_stdexec::loop_scheduler>);
#endif
}
