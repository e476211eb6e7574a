// SPDX-License-Identifier: MIT
#include <again/journal/error.hpp>

#include <doctest/doctest.h>

using namespace again;
using journal::error;
using journal::error_kind;

TEST_CASE("every kind of error has a name, and says whether another attempt is worth it") {
  const auto kind_of = [](error_kind k) { return error{k}.verdict().kind; };
  for (const error_kind k : {error_kind::full, error_kind::unreachable, error_kind::read_only, error_kind::locked,
                             error_kind::shortage, error_kind::io})
    CHECK(kind_of(k) == disposition::transient);
  for (const error_kind k : {error_kind::corrupt, error_kind::version, error_kind::lost_lease, error_kind::invalid})
    CHECK(kind_of(k) == disposition::permanent);
  CHECK(kind_of(error_kind::cancelled) == disposition::aborted);
  CHECK(name(error_kind::lost_lease) == "lost_lease");
  CHECK(again::detail::enumerators<error_kind>.size() == 11);
  CHECK(error{error_kind::full, "no room"}.verdict().name == "full");
}
