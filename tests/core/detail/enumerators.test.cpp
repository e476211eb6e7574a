// SPDX-License-Identifier: MIT
#include <again/core/detail/enumerators.hpp>

#include <doctest/doctest.h>

#include <cstdint>

namespace {

enum class colour : std::uint8_t { red, light_blue, green };
struct holder {
  enum class kinds { one, two };
};

namespace detail = again::detail;
static_assert(detail::enumerators<colour>.size() == 3);
static_assert(detail::enumerator_name(colour::light_blue) == "light_blue");

}  // namespace

TEST_CASE("the enumerators of an enum are listed in order, with their names") {
  CHECK(detail::enumerators<colour> == std::array{colour::red, colour::light_blue, colour::green});
  CHECK(detail::enumerator_name(colour::red) == "red");
  CHECK(detail::enumerator_name(colour::green) == "green");
  CHECK(detail::enumerator_name(holder::kinds::two) == "two");
}

TEST_CASE("a value that is no enumerator is called unknown") {
  CHECK(detail::enumerator_name(static_cast<colour>(3)) == "unknown");
  CHECK(detail::enumerator_name(static_cast<colour>(255)) == "unknown");
  CHECK(detail::enumerator_name(static_cast<holder::kinds>(-1)) == "unknown");
}
