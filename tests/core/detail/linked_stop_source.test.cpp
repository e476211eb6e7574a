// SPDX-License-Identifier: MIT
#include <again/core/detail/linked_stop_source.hpp>

#include <doctest/doctest.h>

#include <thread>

using again::inplace_stop_source;
using again::detail::linked_stop_source;
using again::detail::stop_link;

TEST_CASE("a linked stop source is stopped by the token that it follows, and by itself") {
  inplace_stop_source outer;
  linked_stop_source inner;
  inner.follow(outer.get_token());
  CHECK_FALSE(inner.stop_requested());
  SUBCASE("by the token") {
    outer.request_stop();
    CHECK(inner.stop_requested());
    CHECK(inner.get_token().stop_requested());
  }
  SUBCASE("by itself, which the outer one does not see") {
    inner.request_stop();
    CHECK(inner.stop_requested());
    CHECK_FALSE(outer.stop_requested());
  }
  SUBCASE("not after unlink") {
    inner.unlink();
    outer.request_stop();
    CHECK_FALSE(inner.stop_requested());
  }
}

TEST_CASE("a source that follows a stopped token is stopped at once; a token without a source is ignored") {
  inplace_stop_source outer;
  outer.request_stop();
  linked_stop_source inner;
  inner.follow({});
  CHECK_FALSE(inner.stop_requested());
  inner.follow(outer.get_token());
  CHECK(inner.stop_requested());
}

TEST_CASE("one source may follow two tokens") {
  inplace_stop_source left, right, joined;
  stop_link from_left, from_right;
  from_left.follow(left.get_token(), joined);
  from_right.follow(right.get_token(), joined);
  SUBCASE("left") { left.request_stop(); }
  SUBCASE("right") { right.request_stop(); }
  CHECK(joined.stop_requested());
}

TEST_CASE("a linked source destroyed while another thread requests the stop is not touched afterwards") {
  for (int i = 0; i < 200; ++i) {
    inplace_stop_source outer;
    std::thread requester{[&] { outer.request_stop(); }};
    {
      linked_stop_source inner;
      inner.follow(outer.get_token());
    }
    requester.join();
  }
}
