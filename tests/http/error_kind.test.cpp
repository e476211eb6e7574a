// SPDX-License-Identifier: MIT
#include <again/http/error_kind.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <type_traits>

using namespace again::http;

static_assert(std::is_trivially_copyable_v<error_set> && sizeof(error_set) == 4);
static_assert(error_set{error_kind::reset, error_kind::closed}.contains(error_kind::closed));
static_assert(!error_set{error_kind::reset}.contains(error_kind::status));
static_assert((error_set{error_kind::reset, error_kind::closed} - error_set{error_kind::reset}) ==
              error_set{error_kind::closed});

TEST_CASE("every kind of error has its own name and is found by it") {
  std::set<std::string> names;
  for (const error_kind kind : all_error_kinds) {
    names.emplace(name(kind));
    REQUIRE(parse_error_kind(name(kind)));
    CHECK(*parse_error_kind(name(kind)) == kind);
  }
  CHECK(names.size() == all_error_kinds.size());
  CHECK(names.count("unknown") == 0);
  CHECK(static_cast<std::size_t>(error_kind::unsupported) + 1 == all_error_kinds.size());
}

TEST_CASE("a list of names is a set of errors, and its text is the list") {
  const auto set = parse_error_set(" reset,closed , timeout");
  REQUIRE(set);
  CHECK(*set == error_set{error_kind::reset, error_kind::closed, error_kind::timeout});
  CHECK(set->text() == "reset, closed, timeout");
  CHECK(*parse_error_set(set->text()) == *set);
  CHECK(parse_error_set("")->empty());
  CHECK(parse_error_set("none")->empty());
  CHECK(error_set{}.text() == "none");
}

TEST_CASE("an unknown name is refused with all known names") {
  const auto set = parse_error_set("reset,rest");
  REQUIRE_FALSE(set);
  CHECK(set.error().reason().find("'rest'") != std::string::npos);
  CHECK(set.error().reason().find("connect_timeout, tls_handshake") != std::string::npos);
}

TEST_CASE("a kind can be erased from a set, and sets can be joined and subtracted") {
  error_set set{error_kind::reset};
  set.insert(error_kind::unsupported);
  set.erase(error_kind::reset);
  set.erase(error_kind::closed);
  CHECK(set == error_set{error_kind::unsupported});
  CHECK((set | error_set{error_kind::status}) == error_set{error_kind::status, error_kind::unsupported});
}
