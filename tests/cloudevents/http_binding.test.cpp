// SPDX-License-Identifier: MIT
#include <again/cloudevents/http_binding.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace again::cloudevents;
namespace http = again::http;

namespace {

event example() {
  return event{"1234-1234-1234", "/mycontext/subcontext", "com.example.someevent"}
      .time("2018-04-05T03:56:24Z")
      .extension("comexampleothervalue", 5)
      .extension("comexampleflag", false)
      .data("{ \"a\" : 1 }\n", "application/json; charset=utf-8");
}

}  // namespace

TEST_CASE("binary: the attributes are header fields, and the body is the data, byte for byte") {
  const auto r = binary_request(example(), "/hook?x=1");
  REQUIRE(r);
  CHECK(r->method() == http::method::post);
  CHECK(r->target() == "/hook?x=1");
  CHECK(r->headers() == http::headers{{"ce-specversion", "1.0"},
                                      {"ce-id", "1234-1234-1234"},
                                      {"ce-source", "/mycontext/subcontext"},
                                      {"ce-type", "com.example.someevent"},
                                      {"ce-time", "2018-04-05T03:56:24Z"},
                                      {"ce-comexampleothervalue", "5"},
                                      {"ce-comexampleflag", "false"},
                                      {"Content-Type", "application/json; charset=utf-8"}});
  CHECK(r->body().bytes() == "{ \"a\" : 1 }\n");
  CHECK_FALSE(validate(*r));
  const std::string bytes{"\0\xff\r\n", 4};
  CHECK(binary_request(example().data(bytes, "application/octet-stream"))->body().bytes() == bytes);
  CHECK(binary_request(example().data("no JSON", "application/json"))->body().bytes() == "no JSON");
  CHECK(binary_request(event{"1", "/a", "t"})->body().absent());
  CHECK_FALSE(binary_request(event{"1", "/a", "t"})->headers().contains("Content-Type"));
}

TEST_CASE("the values of header fields are percent-encoded as the specification's example shows") {
  CHECK(header_value("Euro \xe2\x82\xac \xf0\x9f\x98\x80") == "Euro%20%E2%82%AC%20%F0%9F%98%80");
  CHECK(header_value("100% \"sure\"") == "100%25%20%22sure%22");
  CHECK(header_value("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~") == "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~");
  CHECK(header_value("\t\x7f\r\n") == "%09%7F%0D%0A");
  CHECK(binary_request(example().subject(" a "))->headers().get("ce-subject") == "%20a%20");
}

TEST_CASE("structured: the body is the event as JSON") {
  const auto r = structured_request(example(), "/hook");
  REQUIRE(r);
  CHECK(r->headers() == http::headers{{"Content-Type", "application/cloudevents+json; charset=utf-8"}});
  CHECK(r->body().bytes() == to_json(example()).value());
  CHECK(r->target() == "/hook");
}

TEST_CASE("batched: the body is an array of events") {
  const std::vector two{example(), event{"2", "/a", "t"}};
  const auto r = batched_request(two);
  REQUIRE(r);
  CHECK(r->headers() == http::headers{{"Content-Type", "application/cloudevents-batch+json; charset=utf-8"}});
  CHECK(r->body().bytes() == to_json(two).value());
  CHECK(r->target() == "/");
}

TEST_CASE("what is no CloudEvent becomes no request, in any mode") {
  const event bad = example().time("yesterday");
  const std::string why = "the attribute 'time' must be a time of RFC 3339, such as 2018-04-05T17:31:00Z";
  CHECK(binary_request(bad).error().text() == why);
  CHECK(structured_request(bad).error().text() == why);
  CHECK(batched_request(std::vector{bad}).error().text() == "event 1: " + why);
}

TEST_CASE("a mode has a name") {
  CHECK(parse_content_mode("binary") == content_mode::binary);
  CHECK(parse_content_mode("structured") == content_mode::structured);
  CHECK(parse_content_mode("batched") == content_mode::batched);
  CHECK(parse_content_mode("Binary").error().text() ==
        "no content mode is called 'Binary'; there are: binary, structured, batched");
}
