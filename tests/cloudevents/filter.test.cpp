// SPDX-License-Identifier: MIT
#include <again/cloudevents/filter.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace again::cloudevents;

namespace {

const event made = event{"1", "https://example.com/orders", "com.example.order.made"}.subject("7");
std::string problem(std::string_view text) {
  const auto f = filter::parse(text);
  return f ? "fine" : f.error().text();
}

}  // namespace

TEST_CASE("exact, prefix and suffix compare an attribute, case and all") {
  CHECK(filter::exact("type", "com.example.order.made").matches(made));
  CHECK_FALSE(filter::exact("type", "com.example.order").matches(made));
  CHECK_FALSE(filter::exact("type", "com.example.order.Made").matches(made));
  CHECK(filter::prefix("type", "com.example.").matches(made));
  CHECK_FALSE(filter::prefix("type", "example.").matches(made));
  CHECK_FALSE(filter::prefix("type", "com.example.order.made.late").matches(made));
  CHECK(filter::suffix("type", ".made").matches(made));
  CHECK_FALSE(filter::suffix("type", ".mad").matches(made));
  CHECK(filter::exact("specversion", "1.0").matches(made));
}

TEST_CASE("an event without the attribute does not match, and its negation does") {
  for (const filter& f :
       {filter::exact("dataref", "x"), filter::prefix("dataref", "x"), filter::suffix("dataref", "x")}) {
    CHECK_FALSE(f.matches(made));
    CHECK((!f).matches(made));
  }
}

TEST_CASE("all, any and not compose") {
  const filter type = filter::prefix("type", "com.example."), source = filter::exact("source", "/other");
  CHECK(filter{}.matches(made));
  CHECK_FALSE(filter::all({type, source}).matches(made));
  CHECK(filter::any({type, source}).matches(made));
  CHECK(filter::all({type, !source}).matches(made));
  CHECK_FALSE(filter::any({!type, source}).matches(made));
  CHECK((!filter::all({type, source})).matches(made));
  CHECK((!!type).matches(made));
}

TEST_CASE("a filter asks for attributes wherever they are") {
  const auto find = [](std::string_view name) -> std::optional<std::string_view> {
    if (name == "type") return "a";
    return std::nullopt;
  };
  CHECK(filter::exact("type", "a").matches(find));
  CHECK_FALSE(filter::exact("source", "a").matches(find));
}

TEST_CASE("a filter is read from a text") {
  CHECK(filter::parse("exact:type=a") == filter::exact("type", "a"));
  CHECK(filter::parse("prefix:source=/a:b=c") == filter::prefix("source", "/a:b=c"));
  CHECK(filter::parse("suffix:type=.made") == filter::suffix("type", ".made"));
  CHECK(filter::parse("not:exact:type=a") == !filter::exact("type", "a"));
  CHECK(filter::parse("not:not:exact:type=a") == !!filter::exact("type", "a"));
}

TEST_CASE("what is no filter is refused with a sentence") {
  const std::string usage =
      "a filter is exact:NAME=VALUE, prefix:NAME=VALUE or suffix:NAME=VALUE, with not: before it to negate it";
  for (const char* const text : {"", "type", "type=a", "glob:type=a", "Exact:type=a", "not:", "not:type=a"})
    CHECK(problem(text) == usage);
  CHECK(problem("exact:type") == "a filter compares an attribute with a value: type=VALUE");
  CHECK(problem("exact:type=") == "the value to compare with is empty");
  CHECK(problem("exact:=a") == "an attribute's name consists of the letters a to z and digits");
  CHECK(problem("exact:Type=a") == "an attribute's name consists of the letters a to z and digits");
  CHECK_THROWS_AS(static_cast<void>(filter::exact("type", "")), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(filter::prefix("ce-type", "a")), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(filter::all({})), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(filter::any({})), std::invalid_argument);
}
