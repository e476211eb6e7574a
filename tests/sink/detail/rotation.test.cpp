// SPDX-License-Identifier: MIT
#include <again/sink/detail/rotation.hpp>

#include <doctest/doctest.h>

using again::detail::rotation;

TEST_CASE("each endpoint is tried once in a round; a new round leaves out the last one") {
  rotation r{3};
  for (const std::size_t at : {0U, 1U, 2U}) CHECK(!r.tried(at));
  r.failed_at(1);
  CHECK(r.tried(1));
  CHECK(!r.tried(0));
  r.failed_at(0);
  CHECK(!r.tried(2));
  r.failed_at(2);
  CHECK(!r.tried(0));
  CHECK(!r.tried(1));
  CHECK(r.tried(2));
}

TEST_CASE("of one endpoint, it is always the last one") {
  rotation r{1};
  r.failed_at(0);
  CHECK(r.tried(0));
  r.failed_at(0);
  CHECK(r.tried(0));
}
