// SPDX-License-Identifier: MIT
#include <again/asio.hpp>

#include "asio_under_test.hpp"

#include <doctest/doctest.h>

#include <type_traits>

TEST_CASE("the edge is built on the Asio that the macro chooses") {
#if defined(AGAIN_STANDALONE_ASIO)
  CHECK(std::is_same_v<again::asio::error_code, std::error_code>);
#else
  CHECK(std::is_same_v<again::asio::error_code, boost::system::error_code>);
#endif
}

TEST_CASE("what the edge defines for one Asio has another name than for the other: units that disagree do not link") {
#if defined(AGAIN_STANDALONE_ASIO)
  CHECK(std::is_same_v<again::asio::use_expected_t, again::asio::standalone_asio::use_expected_t>);
#else
  CHECK(std::is_same_v<again::asio::use_expected_t, again::asio::boost_asio::use_expected_t>);
#endif
}
