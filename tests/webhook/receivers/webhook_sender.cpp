// SPDX-License-Identifier: MIT
// Sends webhooks to a receiver that others wrote. Over sockets, in pretend time: the waits of the schedule pass at once.
//
//   webhook_sender sign URL ID SECONDS < BODY     signed with the keys in AGAIN_TEST_KEYS; the clock is SECONDS off
//   webhook_sender event URL MODE                 every event of `examples`, in that mode
//
// Prints the attempts and the status, or why there is none, for each request.
#include <again/again.hpp>
#include <again/cloudevents.hpp>
#include <again/http.hpp>
#include <again/webhook.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace ce = again::cloudevents;

template <class T> T value_of(again::expected<T, again::http::invalid> result) {
  if (!result) throw std::runtime_error{result.error().text()};
  return *std::move(result);
}

std::vector<ce::event> examples() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  std::vector<ce::event> all;
  all.push_back(ce::event{"1", "/orders", "com.example.order.made"}
                    .subject("Euro \xe2\x82\xac \xf0\x9f\x98\x80 \"100%\"")
                    .time("2018-04-05T17:31:00.000Z")
                    .extension("partitionkey", "a b")
                    .extension("count", -5)
                    .extension("urgent", true)
                    .data("{ \"a\" : [1, 2.50, \"\xc3\xa4\"] }", "application/json"));
  all.push_back(ce::event{"2", "urn:x:y", "text"}.data("h\xc3\xa4llo \"you\"\n", "text/plain; charset=utf-8"));
  all.push_back(ce::event{"3", "https://example.com/#a", "bytes"}.data(bytes, "application/octet-stream"));
  all.push_back(ce::event{"4", "/orders", "com.example.order.gone"});
  return all;
}

void report(again::http::origin to, again::http::request r, again::duration clock_is_off) {
  again::virtual_clock pretend{again::system_clocks().wall_now() + clock_is_off};
  again::run_loop loop{pretend, 1};
  again::http::httplib_transport transport;
  const again::http::client_over api{transport, std::move(to), {.rules = again::webhook::standard_rules}};
  int attempts = 0;
  const auto count = [&attempts](const again::attempt_record&) { ++attempts; };
  const auto sent =
      again::sync_wait(loop, again::retry(again::webhook::standard_policy, api.send(std::move(r))).observe(count));
  if (sent)
    std::cout << attempts << " " << sent->status << "\n";
  else
    std::cout << attempts << " " << (sent.error().error() ? sent.error().error()->text() : "not sent") << "\n";
}

void run(const std::vector<std::string>& words) {
  if (words.size() < 3) throw std::runtime_error{"usage: see the first lines of this file"};
  const auto url = value_of(again::http::parse_url(words[1]));
  if (words[0] == "sign") {
    const std::string body{std::istreambuf_iterator<char>{std::cin}, {}};
    auto keys = value_of(again::webhook::signing_keys::from_environment("AGAIN_TEST_KEYS"));
    auto r = again::http::request::post(url.target).header("Content-Type", "application/json").body(body);
    report(url.origin, again::webhook::signed_with(std::move(keys), words[2], std::move(r)),
           std::chrono::seconds{std::stoll(words.at(3))});
    return;
  }
  const ce::content_mode mode = value_of(ce::parse_content_mode(words[2]));
  const auto events = examples();
  if (mode == ce::content_mode::batched)
    return report(url.origin, value_of(ce::batched_request(events, url.target)), {});
  for (const ce::event& e : events) {
    auto r =
        mode == ce::content_mode::binary ? ce::binary_request(e, url.target) : ce::structured_request(e, url.target);
    report(url.origin, value_of(std::move(r)), {});
  }
}

}  // namespace

int main(int argc, char** argv) try {
  run({argv + 1, argv + argc});
  return 0;
} catch (const std::exception& e) {
  std::cerr << "webhook_sender: " << e.what() << "\n";
  return 2;
}
