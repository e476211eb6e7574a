// SPDX-License-Identifier: MIT
#include <again/cloudevents/json_format.hpp>

#include "support/json.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace again::cloudevents;

namespace {

event plain() { return event{"1", "/a", "t"}; }
const std::string begin = R"({"specversion":"1.0","id":"1","source":"/a","type":"t")";
std::string json(const event& e) { return to_json(e).value(); }
std::string data(std::string bytes, std::string media_type) {
  const std::string all = json(plain().data(std::move(bytes), std::move(media_type)));
  return all.substr(all.rfind("\"data"));
}

}  // namespace

TEST_CASE("an event without data is its attributes; numbers and truths are written as such") {
  CHECK(json(plain()) == begin + "}");
  CHECK(json(plain().subject("a \"b\"").extension("n", -5).extension("yes", true).extension("text", "5")) ==
        begin + R"(,"subject":"a \"b\"","n":-5,"yes":true,"text":"5"})");
}

TEST_CASE("JSON data stands in the event byte for byte") {
  for (const char* const type :
       {"application/json", "APPLICATION/JSON; charset=utf-8", "text/json", "application/vnd.x+json"}) {
    CHECK(json(plain().data("{ \"b\" : 1.0 ,\n\"a\":[]}", type)) ==
          begin + R"(,"datacontenttype":")" + type + "\",\"data\":{ \"b\" : 1.0 ,\n\"a\":[]}}");
  }
  CHECK(data("null", "application/json") == R"("data":null})");
  CHECK(data("\"text\"", "application/json") == R"("data":"text"})");
}

TEST_CASE("data that is no JSON cannot change the event around it") {
  for (const char* const bytes : {"", "1,\"id\":\"evil\"", "}", "x", "\xff"}) {
    const auto made = to_json(plain().data(bytes, "application/json"));
    REQUIRE(!made);
    CHECK(made.error().text() == "the data is not JSON, as the attribute 'datacontenttype' says");
  }
}

TEST_CASE("text in UTF-8 is a string, and everything else is base64, so that no byte is lost") {
  CHECK(data("a \"b\"\n\xe2\x82\xac", "text/plain") == "\"data\":\"a \\\"b\\\"\\n\xe2\x82\xac\"}");
  CHECK(data("<a/>", "application/xml") == R"("data":"<a/>"})");
  CHECK(data("<a/>", "image/svg+xml; charset=\"UTF-8\"") == R"("data":"<a/>"})");
  CHECK(data("a", "text/plain; charset=us-ascii") == R"("data":"a"})");
  CHECK(data("", "text/plain") == R"("data":""})");
  CHECK(data("\xff", "text/plain") == R"("data_base64":"/w=="})");
  CHECK(data("a", "text/plain;charset=iso-8859-1") == R"("data_base64":"YQ=="})");
  CHECK(data(std::string{"\0a", 2}, "text/plain; q=1; CHARSET=utf-16") == R"("data_base64":"AGE="})");
  CHECK(data("abc", "application/octet-stream") == R"("data_base64":"YWJj"})");
  CHECK(data("", "application/octet-stream") == R"("data_base64":""})");
}

TEST_CASE("whatever the values are, a parser reads the event that was written") {
  const std::string odd = "\"\\/ \xe2\x80\xa8 \xf0\x9f\x98\x80 {}[],:";
  const std::string text = json(plain().subject(odd).extension("x", odd).data(odd, "text/plain"));
  const auto read = support::json::parser{text}.document();
  CHECK(read["subject"].string() == odd);
  CHECK(read["x"].string() == odd);
  CHECK(read["data"].string() == odd);
  CHECK(read["id"].string() == "1");
}

TEST_CASE("a batch is an array, and its error names the event") {
  CHECK(to_json(std::vector<event>{}).value() == "[]");
  const std::vector two{plain(), event{"2", "/a", "t"}};
  CHECK(to_json(two).value() == "[" + begin + R"(},{"specversion":"1.0","id":"2","source":"/a","type":"t"}])");
  const std::vector bad{plain(), event{"", "/a", "t"}};
  CHECK(to_json(bad).error().text() == "event 2: the attribute 'id' is empty");
}
