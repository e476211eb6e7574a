// SPDX-License-Identifier: MIT
#include <again/folly/library.hpp>

#include <doctest/doctest.h>

TEST_CASE("the parts of folly that the edge needs are there") {
  CHECK_FALSE(folly::CancellationToken{}.canBeCancelled());
  CHECK(folly::CancellationSource{}.getToken().canBeCancelled());
}
