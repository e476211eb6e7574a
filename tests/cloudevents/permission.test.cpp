// SPDX-License-Identifier: MIT
#include <again/cloudevents/permission.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry/retry.hpp>

#include "support/pretend_transport.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <utility>

using namespace again::cloudevents;
namespace http = again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

const permission_question question{"events.example.com", 120, "https://example.com/confirm?id=1&key=abc"};
const http::origin receiver{http::scheme::https, "receiver.example", 443};

permission read(http::headers fields, int status = 200, const permission_question& q = question) {
  return read_permission(q, http::response{status, std::move(fields)});
}
const permission no{false, std::nullopt};

auto asked(pretend_transport& through, const permission_question& q) {
  again::virtual_clock pretend;
  again::run_loop loop{pretend};
  const http::client_over api{through, receiver};
  return sync_wait(loop, ask_permission(api, "/hook?a=1", q));
}

}  // namespace

TEST_CASE("the question is an OPTIONS request for the resource itself") {
  const http::request r = permission_request(question, "/hook");
  CHECK(r.method() == http::method::options);
  CHECK(r.target() == "/hook");
  CHECK(r.headers() == http::headers{{"WebHook-Request-Origin", "events.example.com"},
                                     {"WebHook-Request-Callback", "https://example.com/confirm?id=1&key=abc"},
                                     {"WebHook-Request-Rate", "120"}});
  CHECK(permission_request(permission_question{"a.example"}, "/").headers() ==
        http::headers{{"WebHook-Request-Origin", "a.example"}});
  CHECK(delivery_fields(question) == http::headers{{"WebHook-Request-Origin", "events.example.com"}});
}

TEST_CASE("consent is the origin that was asked about, or a star; the status is none") {
  CHECK(read({{"WebHook-Allowed-Origin", "events.example.com"}, {"WebHook-Allowed-Rate", "100"}}) ==
        permission{true, 100});
  CHECK(read({{"webhook-allowed-origin", "Events.Example.com"}, {"webhook-allowed-rate", "*"}}) ==
        permission{true, std::nullopt});
  CHECK(read({{"WebHook-Allowed-Origin", "*"}, {"WebHook-Allowed-Rate", "7"}}) == permission{true, 7});
  CHECK(read({}) == no);
  CHECK(read({{"Allow", "POST"}, {"WebHook-Allowed-Rate", "100"}}) == no);
  CHECK(read({{"WebHook-Allowed-Origin", "other.example"}, {"WebHook-Allowed-Rate", "100"}}) == no);
  CHECK(read({{"WebHook-Allowed-Origin", ""}}) == no);
  CHECK(read({{"WebHook-Allowed-Origin", "*, other.example"}}) == no);
  CHECK(read({{"WebHook-Allowed-Origin", "*"}, {"WebHook-Allowed-Origin", "*"}}) == no);
}

TEST_CASE("a rate that is missing or cannot be read is the one that was asked for") {
  CHECK(read({{"WebHook-Allowed-Origin", "*"}}) == permission{true, 120});
  CHECK(read({{"WebHook-Allowed-Origin", "*"}}, 200, permission_question{"a.example"}) ==
        permission{true, std::nullopt});
  for (const char* const rate : {"0", "-1", "x", "1.5", "10 per minute", ""})
    CHECK(read({{"WebHook-Allowed-Origin", "*"}, {"WebHook-Allowed-Rate", rate}}) == permission{true, 120});
  CHECK(parse_allowed_rate(" 5 ")->most == 5);
  CHECK(parse_allowed_rate("99999999999999999999999")->most == 1'000'000'000'000);
  CHECK(parse_allowed_rate("*"));
  CHECK_FALSE(parse_allowed_rate("0"));
}

TEST_CASE("asked over a client: consent, none, and an error of the send") {
  pretend_transport yes{[](const pretend_transport::request& r) {
    auto granted = again_test::response(200);
    granted.result->headers.add("WebHook-Allowed-Origin", r.headers.get("WebHook-Request-Origin"));
    granted.result->headers.add("WebHook-Allowed-Rate", "60");
    return granted;
  }};
  const auto granted = asked(yes, question);
  REQUIRE(granted);
  CHECK(*granted == permission{true, 60});
  REQUIRE(yes.seen.size() == 1);
  CHECK(yes.seen[0].target == "/hook?a=1");

  pretend_transport silent{[](const pretend_transport::request&) { return again_test::response(204); }};
  CHECK(asked(silent, question).value() == no);

  pretend_transport none{[](const pretend_transport::request&) { return again_test::response(405); }};
  CHECK(asked(none, question).error().status() == 405);
}

TEST_CASE("a question that cannot be asked is not sent") {
  const auto why = [](const permission_question& q) {
    pretend_transport through{[](const pretend_transport::request&) { return again_test::response(200); }};
    const auto result = asked(through, q);
    CHECK(through.seen.empty());
    REQUIRE(!result);
    CHECK(result.error().kind() == http::error_kind::invalid_request);
    return result.error().detail();
  };
  CHECK(why(permission_question{""}) == "the origin of webhooks is a DNS name, such as events.example.com");
  CHECK(why(permission_question{"https://a.example"}) ==
        "the origin of webhooks is a DNS name, which has no ':' (position 5)");
  CHECK(why(permission_question{"a.example", 0}) == "a rate is at least 1 request a minute");
  CHECK(why(permission_question{"a.example", {}, "https://x/\r\nEvil: 1"}) ==
        "header 'WebHook-Request-Callback': its value contains CR (position 10)");
}

TEST_CASE("a question is asked again by a policy") {
  std::size_t calls = 0;
  pretend_transport through{[&calls](const pretend_transport::request&) {
    auto r = again_test::response(++calls < 3 ? 503 : 200);
    r.result->headers.add("WebHook-Allowed-Origin", "*");
    return r;
  }};
  again::virtual_clock pretend;
  again::run_loop loop{pretend};
  const http::client_over api{through, receiver};
  const auto ask = [&api] { return ask_permission(api, "/hook", question); };
  const auto result = sync_wait(loop, again::retry(again::policy{}, ask));
  REQUIRE(result);
  CHECK(result->granted);
  CHECK(calls == 3);
}
