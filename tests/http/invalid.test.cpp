// SPDX-License-Identifier: MIT
#include <again/http/invalid.hpp>

#include <doctest/doctest.h>

using again::http::invalid;

TEST_CASE("a refusal has a reason, and a position where it is one character") {
  CHECK(invalid{"the host is empty"}.text() == "the host is empty");
  CHECK(invalid{"the host is empty"}.position() == invalid::nowhere);
  const invalid at{"the target contains LF", 3};
  CHECK(at.reason() == "the target contains LF");
  CHECK(at.text() == "the target contains LF (position 3)");
  CHECK(at == invalid{"the target contains LF", 3});
  CHECK_FALSE(at == invalid{"the target contains LF", 4});
}
