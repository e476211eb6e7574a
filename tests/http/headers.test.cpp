// SPDX-License-Identifier: MIT
#include <again/http/headers.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace again::http;

TEST_CASE("headers keep their order and repeated fields, and are found in any case") {
  headers h{{"Set-Cookie", "a=1"}, {"Content-Type", "text/plain"}};
  h.add("set-cookie", "b=2");
  CHECK(h.size() == 3);
  CHECK(h.find("SET-COOKIE") == "a=1");
  CHECK(h.count("set-Cookie") == 2);
  const auto cookies = h.all("Set-Cookie");
  REQUIRE(cookies.size() == 2);
  CHECK(cookies[1] == "b=2");
  CHECK_FALSE(h.find("Set-Cooki"));
  CHECK(h.get("Missing", "otherwise") == "otherwise");
  CHECK(h.begin()->name == "Set-Cookie");
}

TEST_CASE("set replaces all fields of a name, and erase returns how many it removed") {
  headers h{{"A", "1"}, {"B", "2"}, {"a", "3"}};
  h.set("A", "4");
  CHECK(h == headers{{"B", "2"}, {"A", "4"}});
  CHECK(h.erase("b") == 1);
  CHECK(h.erase("b") == 0);
  h.clear();
  CHECK(h.empty());
}

TEST_CASE("spaces and tabs around a value are dropped") {
  const headers h{{"A", " \t1 2\t "}, {"B", "  "}};
  CHECK(h.find("A") == "1 2");
  CHECK(h.find("B") == "");
}

TEST_CASE("a further line of a value is appended with one space") {
  headers h{{"A", "1"}, {"B", ""}};
  h.unfold(" \t 2 ").unfold("  ").unfold("3");
  CHECK(h == headers{{"A", "1"}, {"B", "2 3"}});
}

TEST_CASE("a whole token is found in comma-separated lists, in any case, in repeated fields") {
  const headers h{{"Connection", "keep-alive , Close"}, {"connection", "x-close"}};
  CHECK(h.has_token("Connection", "close"));
  CHECK(h.has_token("Connection", "X-CLOSE"));
  CHECK_FALSE(h.has_token("Connection", "clos"));
  CHECK_FALSE(headers{}.has_token("Connection", "close"));
  CHECK_FALSE((headers{{"Connection", ""}}.has_token("Connection", "close")));
}

TEST_CASE("a name that is no token and a value with control characters are refused with a reason and a position") {
  CHECK_FALSE(validate_field("X-A", "any \"thing\", \xc3\xa9\t even tabs"));
  CHECK_FALSE(validate_field("X-A", ""));
  REQUIRE(validate_field("", "1"));
  const auto name = validate_field("X A", "1");
  REQUIRE(name);
  CHECK(name->text() == "a header's name contains a space (position 1)");
  CHECK(validate_field("X:A", "1")->position() == 1);
  CHECK(validate_field("X\r\nEvil: 1", "1")->reason() == "a header's name contains CR");
  CHECK(validate_field("Caf\xc3\xa9", "1")->reason() == "a header's name contains byte 0xC3");
  const auto value = validate_field("X-A", "secret\r\nEvil: 1");
  REQUIRE(value);
  CHECK(value->text() == "header 'X-A': its value contains CR (position 6)");
  CHECK(validate_field("X-A", "a\nb")->reason().find("LF") != std::string::npos);
  CHECK(validate_field("X-A", std::string_view{"a\0b", 3})->reason().find("NUL") != std::string::npos);
  CHECK(validate_field("X-A", "bad header value \x1b")->reason().find("byte 0x1B") != std::string::npos);
  CHECK(validate_field("X-A", "\x7f")->position() == 0);
}
