// SPDX-License-Identifier: MIT
#include <again/cloudevents/detail/json_syntax.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using again::cloudevents::detail::is_json;

TEST_CASE("one JSON value is JSON, with white space around it") {
  for (const std::string_view text :
       {"null", "true", "false", "0", "-0", "12", "-1.5e+10", "1E5", "0.0e-0", "\"\"", "\"a\"", "[]", "{}",
        " [ 1 , 2 ] ", "\t\r\n{ \"a\" : { \"b\" : [ null ] } , \"c\" : \"\" }\n", R"("\"\\\/\b\f\n\r\t\u12aF\u0000")",
        "\"\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", R"({"a":1,"a":2})"}) {
    CAPTURE(text);
    CHECK(is_json(text));
  }
}

TEST_CASE("everything else is not: no value, two values, what stands behind it, other dialects") {
  for (const std::string_view text : {"",
                                      " ",
                                      "nul",
                                      "nulll",
                                      "True",
                                      "NaN",
                                      "Infinity",
                                      "+1",
                                      "01",
                                      "-",
                                      "-01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "1.e1",
                                      "0x1",
                                      "1 2",
                                      "1,",
                                      "\"",
                                      "\"a",
                                      "'a'",
                                      "\"\n\"",
                                      R"("\x")",
                                      R"("\u12")",
                                      R"("\u12g4")",
                                      "\"\\",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{:1}",
                                      "{\"a\" 1}",
                                      "{1:1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[}",
                                      "{]",
                                      "1}",
                                      "1,\"id\":\"evil\"",
                                      "{}{}",
                                      "// x\n1",
                                      "1 // x",
                                      "\xef\xbb\xbf{}",
                                      "{}\f",
                                      "[1]\x0b"}) {
    CAPTURE(text);
    CHECK_FALSE(is_json(text));
  }
  CHECK_FALSE(is_json(std::string_view{"1\0", 2}));
  CHECK_FALSE(is_json(std::string_view{"\"\0\"", 3}));
}

TEST_CASE("nesting is taken to a thousand levels, and a million do not exhaust the stack") {
  CHECK(is_json(std::string(999, '[') + std::string(999, ']')));
  CHECK_FALSE(is_json(std::string(1001, '[') + std::string(1001, ']')));
  CHECK_FALSE(is_json(std::string(1'000'000, '[')));
}
