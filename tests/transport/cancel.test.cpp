// SPDX-License-Identifier: MIT
// An attempt that is stopped, by its caller or by its bounds.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("an attempt that is stopped ends at once, in every phase, and the server is still at it") {
  struct row {
    const char* phase;
    step what;
    bool tls;
    std::function<bool(const tally&)> arrived;
    std::size_t body;
    const char* reach;
  };
  const auto asked = [](const tally& t) { return t.requests == 1; };
  const auto accepted_one = [](const tally& t) { return t.connections == 1; };
  const row rows[] = {
      {"connecting", blackhole(), false, [](const tally&) { return true; }, 0, "not_sent"},
      {"TLS handshake", tls_handshake_stall(), true, accepted_one, 0, "not_sent"},
      {"writing", stop_reading(), false, asked, 64U << 20U, "maybe_sent"},
      {"waiting for the head", hang(), false, asked, 0, "maybe_sent"},
      {"waiting for the head, TLS", hang(), true, asked, 0, "maybe_sent"},
      {"in the body", stall_body("half", 8), false, asked, 0, "answered"},
      {"dripping", drip(std::string(2000, 'x'), 10ms), false, asked, 0, "answered"},
      {"dripping to the end of the connection", drip(std::string(2000, 'x'), 10ms).close_delimited(), false, asked, 0,
       "answered"},
  };
  for (const row& r : rows) {
    CAPTURE(r.phase);
    server_options options = r.tls ? with_tls() : server_options{};
    options.decide_before_body = true;
    std::unique_ptr<misbehaving_server> server;
    if (r.what.what == action::stop_reading) {
      server = std::make_unique<misbehaving_server>([&](const seen_request&, int) { return r.what; }, options);
    } else {
      server = std::make_unique<misbehaving_server>(std::vector<step>{r.what}, options);
    }
    transport_under_test transport{trusting()};
    request how = r.body == 0 ? request::get("/") : request::post("/").body(std::string(r.body, 'b'));
    stoppable_send send{transport, to(*server, std::move(how))};
    REQUIRE(server->wait_until(r.arrived));
    std::this_thread::sleep_for(30ms);  // into the phase
    const auto result = send.stop();
    CHECK(kind_of(result) == "cancelled");
    CHECK(reach_of(result) == r.reach);
  }
}

TEST_CASE("an attempt that is stopped before it begins is not sent") {
  misbehaving_server server{{respond(200)}};
  transport_under_test transport;
  inplace_stop_source source;
  source.request_stop();
  const auto r = run(transport.send(to(server, request::get("/")), 1), source.get_token());
  CHECK(kind_of(r) == "cancelled");
  CHECK(reach_of(r) == "not_sent");
  CHECK(server.connections_seen() == 0);
}

TEST_CASE("a body that drips is ended by the bound on the whole attempt") {
  misbehaving_server server{{drip(std::string(100000, 'x'), 5ms)}};
  transport_under_test transport;
  send_limits l = patient;
  l.total = 500ms;  // long enough for the head to have come on any machine
  const auto r = run(transport.send(to(server, request::get("/"), l), 1));
  CHECK(kind_of(r) == "timeout");
  CHECK(reach_of(r) == "answered");
}

TEST_CASE("an attempt whose awaiter is gone is ended, and its connection with it") {
  misbehaving_server server{{hang(), respond(200)}};
  transport_under_test transport;
  {
    run_loop loop;
    inplace_stop_source source;
    const context ctx{.scheduler = &loop, .stop = source.get_token()};
    auto abandoned = transport.send(to(server, request::get("/")), 1);
    bool called = false;
    const continuation k{[](void* self) noexcept { *static_cast<bool*>(self) = true; }, &called};
    CHECK(!abandoned.start(k, ctx));
    REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
    CHECK(!called);
  }
  CHECK(server.wait_until_no_connection());
  CHECK(run(transport.send(to(server, request::get("/")), 1)));
}

TEST_CASE("stopped at any moment, over plain and TLS: one result each, no descriptor and no connection left") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, std::filesystem::directory_iterator{});
  };
  const auto before = descriptors();
  for (const bool tls : {false, true}) {
    misbehaving_server server{
        [](const seen_request&, int nth) {
          return nth % 3 == 0 ? hang() : nth % 3 == 1 ? respond(200).body("whole") : drip(std::string(50, 'x'), 1ms);
        },
        tls ? with_tls() : server_options{}};
    {
      transport_under_test transport{trusting()};
      random_stream moments{tls ? 1U : 2U};
      int responses = 0, cancelled = 0;
      for (int i = 0; i < 60; ++i) {
        stoppable_send send{transport, to(server, request::get("/"))};
        std::this_thread::sleep_for(std::chrono::microseconds{moments.bits() % 3000});
        const auto r = send.stop();
        responses += r ? 1 : 0;
        cancelled += !r && r.error().kind == error_kind::cancelled ? 1 : 0;
        if (r) CHECK((r->body == "whole" || r->body.size() == 50));
      }
      CHECK(responses + cancelled == 60);
    }
    CHECK(server.wait_until_no_connection());
  }
  CHECK(descriptors() <= before);
}

TEST_CASE("a bound that meets the response: what is called not_sent was never seen by the server") {
  constexpr int threads = 4, each = 150;
  std::mutex mutex;
  std::vector<int> seen(threads * each, 0);
  misbehaving_server server{[&](const seen_request& r, int) {
    const std::lock_guard lock{mutex};
    ++seen[static_cast<std::size_t>(std::stoi(r.target.substr(1)))];
    return respond(200).body("whole");
  }};
  std::vector<std::string> results(threads * each);
  {
    transport_under_test transport;
    std::vector<std::thread> senders;
    for (int t = 0; t < threads; ++t) {
      senders.emplace_back([&, t] {
        random_stream moments{static_cast<std::uint64_t>(t)};
        for (int i = t * each; i < (t + 1) * each; ++i) {
          send_limits l = patient;
          l.total = std::chrono::microseconds{moments.bits() % 400};
          const auto r = run(transport.send(to(server, request::post("/" + std::to_string(i)).body("x"), l), 1));
          results[static_cast<std::size_t>(i)] = r ? "whole" : kind_of(r) + " " + reach_of(r);
          if (r) CHECK(r->body == "whole");
        }
      });
    }
    for (auto& s : senders) s.join();
  }
  CHECK(server.wait_until_no_connection());
  const std::lock_guard lock{mutex};
  for (std::size_t i = 0; i < results.size(); ++i) {
    CAPTURE(results[i]);
    CHECK((results[i] == "whole" || results[i].starts_with("timeout ")));
    CHECK(seen[i] <= (results[i].ends_with(" not_sent") ? 0 : 1));
  }
}
