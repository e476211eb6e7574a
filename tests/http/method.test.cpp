// SPDX-License-Identifier: MIT
#include <again/http/method.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using namespace again::http;

static_assert(std::is_trivially_copyable_v<method> && sizeof(method) == 24);
static_assert(std::is_trivially_copyable_v<method_set> && sizeof(method_set) == 2);
static_assert(method{"GET"} == method::get && method{"get"} != method::get,
              "methods are case-sensitive (RFC 9110 9.1)");

TEST_CASE("safe and idempotent methods are those of RFC 9110 9.2, and QUERY") {
  for (const method& m : {method::get, method::head, method::options, method::trace, method::query}) {
    CHECK(m.safe());
    CHECK(m.idempotent());
  }
  for (const method& m : {method::put, method::delete_}) {
    CHECK_FALSE(m.safe());
    CHECK(m.idempotent());
  }
  for (const method& m : {method::post, method::patch, method::connect, method{"PUBLISH"}, method{"Get"}}) {
    CHECK_FALSE(m.safe());
    CHECK_FALSE(m.idempotent());
  }
}

TEST_CASE("a method is a token of 1 to 23 characters") {
  CHECK(method{"X"}.valid());
  CHECK(method{"MKCOL-2.0_!#$%&'*+^`|~"}.valid());
  CHECK(method{std::string(23, 'A')}.valid());
  CHECK_FALSE(method{std::string(24, 'A')}.valid());
  CHECK_FALSE(method{""}.valid());
  for (const std::string bad : {"GE T", "GET\r\nEvil: 1", "GET\n", "G\tT", "G(T", "G\xc3\x89T", "GET\x7f", "GET/"}) {
    CAPTURE(bad);
    CHECK_FALSE(method{bad}.valid());
  }
  CHECK_FALSE(method{std::string_view{"GE\0T", 4}}.valid());
  CHECK_FALSE(method{std::string(24, 'A')} == method{std::string(23, 'A')});
}

TEST_CASE("a set of methods holds the known ones, and other methods only as any") {
  const method_set set{method::get, method::patch};
  CHECK(set.contains(method::get));
  CHECK_FALSE(set.contains(method::put));
  CHECK_FALSE(set.contains(method{"MKCOL"}));
  CHECK(method_set::any().contains(method{"MKCOL"}));
  CHECK(method_set::any().contains(method::post));
  CHECK(method_set{}.empty());
  method_set all;
  for (const method& m : known_methods) CHECK(all.insert(m));
  CHECK_FALSE(all.insert(method{"MKCOL"}));
  CHECK_FALSE(all.is_any());
  CHECK_FALSE(method_set::idempotent().contains(method::post));
}

TEST_CASE("a list of names is a set of methods, and its text is the list") {
  const auto set = parse_method_set("GET, PATCH");
  REQUIRE(set);
  CHECK(*set == method_set{method::get, method::patch});
  CHECK(set->text() == "GET, PATCH");
  CHECK(parse_method_set("any")->is_any());
  CHECK(parse_method_set("any")->text() == "any");
  CHECK(parse_method_set("none")->empty());
  CHECK(parse_method_set("")->empty());
  const auto lower_case = parse_method_set("get");
  REQUIRE_FALSE(lower_case);
  CHECK(lower_case.error().reason().find("'get' is not one of GET, HEAD") == 0);
}

TEST_CASE("idempotent() of a request outranks its key, and the key outranks its method") {
  CHECK(request_facts{}.repeatable());
  CHECK_FALSE(request_facts{.method = method::post}.repeatable());
  CHECK(request_facts{.method = method::post, .keyed = true}.repeatable());
  CHECK(request_facts{.method = method::post, .idempotent = true}.repeatable());
  CHECK_FALSE(request_facts{.method = method::get, .keyed = true, .idempotent = false}.repeatable());
}
