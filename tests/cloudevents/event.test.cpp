// SPDX-License-Identifier: MIT
#include <again/cloudevents/event.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

using namespace again::cloudevents;

static_assert(!std::is_aggregate_v<event>, "g++ 12 destroys aggregates in co_await twice");

namespace {

event plain() { return event{"1234", "/orders", "com.example.order.made"}; }
std::string problem(const event& e) {
  const auto bad = validate(e);
  return bad ? bad->text() : "fine";
}
std::string with(std::string name, std::string value) {
  return problem(plain().extension(std::move(name), std::move(value)));
}

}  // namespace

TEST_CASE("an event has its attributes in the order in which they were set, and the last value of each") {
  const event e = plain()
                      .subject("a")
                      .time("2018-04-05T17:31:00Z")
                      .subject("b")
                      .extension("n", 5)
                      .extension("yes", true)
                      .data("{}", "application/json");
  using types = attribute::types;
  CHECK(e.attributes() == std::vector<attribute>{{"specversion", "1.0"},
                                                 {"id", "1234"},
                                                 {"source", "/orders"},
                                                 {"type", "com.example.order.made"},
                                                 {"subject", "b"},
                                                 {"time", "2018-04-05T17:31:00Z"},
                                                 {"n", "5", types::integer},
                                                 {"yes", "true", types::boolean},
                                                 {"datacontenttype", "application/json"}});
  CHECK(e.id() == "1234");
  CHECK(e.source() == "/orders");
  CHECK(e.type() == "com.example.order.made");
  CHECK(e.find("yes") == "true");
  CHECK_FALSE(e.find("no"));
  CHECK(e.data() == "{}");
  CHECK_FALSE(plain().data());
  CHECK(problem(e) == "fine");
}

TEST_CASE("a text is not taken for a truth") {
  CHECK(plain().extension("a", "text").attributes().back() == attribute{"a", "text"});
  CHECK(plain().extension("a", std::string{"text"}).attributes().back() == attribute{"a", "text"});
}

TEST_CASE("what is required must be there") {
  CHECK(problem(event{"", "/a", "t"}) == "the attribute 'id' is empty");
  CHECK(problem(event{"1", "", "t"}) == "the attribute 'source' must be a URI or a relative reference");
  CHECK(problem(event{"1", "/a", ""}) == "the attribute 'type' is empty");
  CHECK(problem(plain().subject("")) == "the attribute 'subject' is empty");
  CHECK(with("specversion", "0.3") == "the attribute 'specversion' must be 1.0");
  CHECK(with("extension", "") == "fine");
}

TEST_CASE("a name consists of lower-case letters and digits") {
  CHECK(with("partitionkey", "x") == "fine");
  CHECK(with("7up", "x") == "fine");
  for (const char* const name : {"", "A", "partitionKey", "a-b", "a_b", "a b", "a\r\nx", "\xc3\xa4", "data"})
    CHECK(with(name, "x") == "an attribute's name consists of the letters a to z and digits, and is not 'data'");
}

TEST_CASE("a value is UTF-8 without control characters and noncharacters") {
  CHECK(with("x", "Euro \xe2\x82\xac \xf0\x9f\x98\x80") == "fine");
  const auto refused_at = [](std::string_view value, std::size_t at) {
    CHECK(with("x", std::string{value}) ==
          "the attribute 'x' contains a character that CloudEvents do not allow (position " + std::to_string(at) + ")");
  };
  refused_at("a\r\nEvil: 1", 1);
  refused_at("\t", 0);
  refused_at(std::string_view{"ab\0", 3}, 2);
  refused_at("\x7f", 0);
  refused_at("a\xc2\x9f", 1);                                      // U+009F
  refused_at("\xff", 0);                                           // no UTF-8
  refused_at("\xc0\xa0", 0);                                       // an overlong space
  refused_at("\xed\xa0\x80", 0);                                   // half of a surrogate pair
  refused_at("ok \xef\xbf\xbe", 3);                                // U+FFFE
  refused_at("\xef\xb7\x90", 0);                                   // U+FDD0
  refused_at("\xf0\x9f\xbf\xbf", 0);                               // U+1FFFF
  CHECK(with("x", "\xc2\xa0\xef\xbf\xbd\xef\xb7\xb0") == "fine");  // U+00A0, U+FFFD, U+FDF0
}

TEST_CASE("a source is a URI reference, a dataschema a URI with its scheme") {
  for (const char* const source :
       {"/orders", "https://github.com/cloudevents", "mailto:cncf-wg-serverless@lists.cncf.io",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "cloudevents/spec/pull/123", "1-555-123-4567", "a%20b",
        "?q=1#f"})
    CHECK(problem(event{"1", source, "t"}) == "fine");
  for (const char* const source : {"a b", "a%2", "a%zz", "a\\b", "<a>", "\"a\"", "{a}", "\xc3\xa4"})
    CHECK(problem(event{"1", source, "t"}) == "the attribute 'source' must be a URI or a relative reference");
  CHECK(problem(plain().dataschema("https://example.com/schema")) == "fine");
  for (const char* const schema : {"", "/schema", "schema", "1a:x", ":x", "a_b:x"})
    CHECK(problem(plain().dataschema(schema)) == "the attribute 'dataschema' must be a URI with its scheme");
}

TEST_CASE("a time is one of RFC 3339") {
  for (const char* const time : {"2018-04-05T17:31:00Z", "2018-04-05t17:31:00z", "2018-04-05T17:31:00.5+02:00",
                                 "2018-04-05T17:31:00.123456789-23:59", "2016-12-31T23:59:60Z", "2020-02-29T00:00:00Z",
                                 "2000-02-29T00:00:00Z", "2019-01-31T00:00:00Z", "2019-12-31T00:00:00Z"})
    CHECK(problem(plain().time(time)) == "fine");
  for (const char* const time : {"",
                                 "2018-04-05",
                                 "2018-04-05T17:31:00",
                                 "2018-04-05 17:31:00Z",
                                 "2018-04-05T17:31Z",
                                 "18-04-05T17:31:00Z",
                                 "2018-13-05T17:31:00Z",
                                 "2018-00-05T17:31:00Z",
                                 "2018-04-31T17:31:00Z",
                                 "2018-06-31T17:31:00Z",
                                 "2018-09-31T17:31:00Z",
                                 "2018-11-31T17:31:00Z",
                                 "2018-12-32T17:31:00Z",
                                 "2018-04-00T17:31:00Z",
                                 "2019-02-29T00:00:00Z",
                                 "1900-02-29T00:00:00Z",
                                 "2018-04-05T24:00:00Z",
                                 "2018-04-05T17:60:00Z",
                                 "2018-04-05T17:31:61Z",
                                 "2018-04-05T17:31:00.Z",
                                 "2018-04-05T17:31:00.5",
                                 "2018-04-05T17:31:00+2:00",
                                 "2018-04-05T17:31:00+0200",
                                 "2018-04-05T17:31:00+24:00",
                                 "2018-04-05T17:31:00+02:60",
                                 "2018-04-05T17:31:00Zx",
                                 "2018-04-05T17:31:00ZZ",
                                 "+018-04-05T17:31:00Z"}) {
    CAPTURE(time);
    CHECK(problem(plain().time(time)) ==
          "the attribute 'time' must be a time of RFC 3339, such as 2018-04-05T17:31:00Z");
  }
}

TEST_CASE("a datacontenttype is a media type") {
  for (const char* const type : {"application/json", "text/plain; charset=utf-8", "application/vnd.a+json;q=\"x y\""})
    CHECK(problem(plain().data("", type)) == "fine");
  for (const char* const type :
       {"", "json", "/", "a/", "/b", "a b/c", "a/b c", " a/b", "a/b ", "a/\xc3\xa4", "a/b;\xc3\xa4"})
    CHECK(problem(plain().data("", type)) ==
          "the attribute 'datacontenttype' must be a media type, such as application/json");
  CHECK(problem(plain().data("", "a/b\r\nX: 1")) ==
        "the attribute 'datacontenttype' contains a character that CloudEvents do not allow (position 3)");
}
