// SPDX-License-Identifier: MIT
// nginx as a real peer, which was not written for these tests: refusals, closed connections, and a restart.
#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry.hpp>

#include "support/misbehaving_server.hpp"
#include "support/nginx.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

std::string program() {
  const char* const named = std::getenv("AGAIN_NGINX");
  return named != nullptr ? named : "/usr/sbin/nginx";
}

using result = expected<again::http::response, failure<error>>;

/// The attempts of one call.
struct watched {
  std::vector<attempt_record> records;
  void operator()(const attempt_record& r) { records.push_back(r); }
  std::size_t sent() const {
    std::size_t n = 0;
    for (const attempt_record& r : records) n += r.ok || r.reach != reach::not_sent ? 1U : 0U;
    return n;
  }
};

constexpr policy three{.attempts = 3, .backoff = exponential(10ms, 100ms), .jitter = jitter::none};

/// Waits run in pretend time and cost nothing: nginx responds at once.
result quickly(client& api, request r, watched& seen) {
  virtual_clock time{system_clocks().wall_now()};
  run_loop loop{time, 1};
  auto op = api.send(std::move(r));
  return sync_wait(loop, retry(three, op).observe(std::ref(seen)));
}

}  // namespace

TEST_CASE("limit_req: after a 429 with Retry-After a GET waits and succeeds; a POST is not sent again") {
  misbehaving_server application{[](const seen_request& r, int) { return respond(200).body(r.target); }};
  nginx peer{program(), "limit_req_zone $uri zone=one:1m rate=30r/m;\n",
             "location / { limit_req zone=one; limit_req_status 429; add_header Retry-After 1 always; proxy_pass " +
                 application.url("") + "; }\n"};
  client api{peer.url()};
  REQUIRE(run(api.get("/page")));
  watched get;
  auto op = api.get("/page");
  policy patient = three;
  patient.attempts = 6;
  const auto r = run(retry(patient, op).observe(std::ref(get)));  // real time: the limit counts in it
  REQUIRE(r);
  CHECK(r->body == "/page");
  REQUIRE(get.records.size() >= 2);
  CHECK(get.records[0].code == 429);
  CHECK(get.records[0].by == wait_by::server);
  CHECK(get.records[0].wait >= 1s);
  const std::size_t refused = get.records.size() - 1;  // the limiter's clock and ours may differ by a tick

  REQUIRE(run(api.post("/post", "1")));
  watched post;
  const auto second = quickly(api, request::post("/post").body("2"), post);
  REQUIRE(!second);
  CHECK(second.error().reason() == stop_reason::not_replayable);
  CHECK(second.error().error()->status() == 429);
  CHECK(second.error().error()->verdict().server_delay == 1s);
  peer.quit();
  CHECK(peer.logged("GET /page 429") == refused);
  CHECK(peer.logged("GET /page 200") == 2);
  CHECK(peer.logged("POST /post 429") == 1);
  CHECK(application.requests_seen("/post") == 1);
}

TEST_CASE("502 from a dead upstream, 503, and a connection closed without a response: as many sends as "
          "nginx has logged") {
  nginx peer{program(), "",
             "location /dead { proxy_pass http://127.0.0.1:1; }\nlocation /busy { return 503; }\nlocation /rude { "
             "return 444; }\n"};
  client api{peer.url()};
  for (const auto& [path, status] : std::map<std::string, int>{{"/dead", 502}, {"/busy", 503}, {"/rude", 0}}) {
    CAPTURE(path);
    watched get, post;
    const auto r = quickly(api, request::get(path), get);
    REQUIRE(!r);
    CHECK(r.error().reason() == stop_reason::attempts_exhausted);
    CHECK(r.error().error()->status() == status);
    CHECK(r.error().error()->kind() == (status != 0 ? error_kind::status : error_kind::closed));
    const auto p = quickly(api, request::post(path).body("x"), post);
    REQUIRE(!p);
    CHECK(p.error().reason() == stop_reason::not_replayable);
    CHECK(get.sent() == 3);
    CHECK(post.sent() == 1);
  }
  peer.quit();
  for (const char* line : {"/dead 502", "/busy 503", "/rude 444"}) {
    CAPTURE(line);
    CHECK(peer.logged(std::string{"GET "} + line) == 3);
    CHECK(peer.logged(std::string{"POST "} + line) == 1);
  }
}

TEST_CASE("TLS 1.2 and TLS 1.3: verified, used, and kept open") {
  nginx peer{program(), "", "location / { return 200 $ssl_protocol:$connection_requests; }\n"};
  const std::array<std::pair<std::string, std::string>, 2> both{
      {{peer.tls_1_2_url(), "TLSv1.2"}, {peer.tls_1_3_url(), "TLSv1.3"}}};
  for (const auto& [url, protocol] : both) {
    CAPTURE(protocol);
    client api{url, {}, {.cacert = misbehaving_server::authority_file()}};
    for (const char* nth : {":1", ":2", ":3"}) {
      const auto r = run(api.get("/"));
      REQUIRE(r);
      CHECK(r->body == protocol + nth);
    }
    client stranger{url};  // trusts the system's authorities only, and not ours
    const auto refused = run(retry(three, stranger.get("/")));
    REQUIRE(!refused);
    CHECK(refused.error().error()->kind() == error_kind::tls_verify);
    CHECK(refused.error().attempts() == 1);
  }
  peer.quit();
  CHECK(peer.log().size() == 6);
}

TEST_CASE("idle connections that nginx has closed meanwhile fail no request: plain, TLS 1.2, TLS 1.3") {
  nginx peer{program(), "keepalive_timeout 30ms;", "location / { return 200 $connection; }\n"};
  for (const std::string& url : {peer.url(), peer.tls_1_2_url(), peer.tls_1_3_url()}) {
    CAPTURE(url);
    client api{url, {}, {.cacert = misbehaving_server::authority_file()}};
    std::set<std::string> connections;
    for (int turn = 0; turn < 6; ++turn) {
      const auto r = run(api.post("/", "x"));  // no retry: it has to work at once
      REQUIRE(r);
      connections.insert(r->body);
      REQUIRE(peer.wait_until_all_closed());
    }
    CHECK(connections.size() == 6);
  }
  peer.quit();
  CHECK(peer.log().size() == 18);
}

TEST_CASE(
    "requests while nginx closes idle connections: each has one result, no POST arrives twice, every GET arrives") {
  nginx peer{program(), "keepalive_timeout 15ms; keepalive_requests 7;", "location / { return 200 ok; }\n"};
  client api{peer.url(), {}, {.max_connections = 16}};
  run_loop loop;
  constexpr int senders = 16, turns = 40;
  int results = 0, posts_given_up = 0, gets_lost = 0;
  std::map<std::string, bool> posted;
  const auto one = [&](int sender) -> task<> {
    for (int turn = 0; turn < turns; ++turn) {
      const std::string target = "/" + std::to_string(sender) + "-" + std::to_string(turn);
      auto what = (turn + sender) % 2 == 0 ? request::post(target).body("x") : request::get(target);
      auto op = api.send(std::move(what));
      const bool post = op.request().method() == method::post;
      const auto r = co_await retry(three, op);
      ++results;
      if (post) posted[target] = r.has_value();
      if (!r && post) posts_given_up += r.error().reason() == stop_reason::not_replayable ? 1 : 100'000;
      if (!r && !post) ++gets_lost;
      (void)co_await sleep_for(std::chrono::microseconds{14'000 + 250 * ((turn * 7 + sender) % 12)});
    }
  };
  std::vector<task<>> all;
  all.reserve(50);
  for (int i = 0; i < senders; ++i) all.push_back(one(i));
  (void)sync_wait(loop, when_all(std::move(all)));
  peer.quit();
  CHECK(results == senders * turns);
  CHECK(gets_lost == 0);
  CHECK(posts_given_up < 100'000);
  for (const auto& [target, ok] : posted) {
    CAPTURE(target);
    const auto seen = peer.logged("POST " + target + " 200");
    CHECK((ok ? seen == 1 : seen <= 1));
  }
  MESSAGE("POSTs that met the end of their connection and were not repeated: ", posts_given_up);
}

TEST_CASE("a restart in the middle of 2000 requests: one result each, nothing applied twice without its key, nothing "
          "lost silently") {
  // nginx in front of an application that applies each request, or once for each Idempotency-Key if there is one.
  misbehaving_server application{[](const seen_request& r, int) {
    return r.arrival % 8 == 0 ? delay(4ms, respond(200).body(r.target)) : respond(200).body(r.target);
  }};
  const std::string upstream = application.url("");
  nginx peer{program(), "upstream app { server " + upstream.substr(upstream.find("//") + 2) + "; keepalive 32; }\n",
             "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }\n"};
  client api{peer.url(), {}, {.max_connections = 24}};
  constexpr int requests = 2000, senders = 48;
  struct record {
    std::string target, key;
    bool ok = false, post = false;
    stop_reason reason{};
    std::size_t sent = 0, attempts = 0;
    int results = 0;
  };
  std::vector<record> records(requests);
  std::atomic<int> done{0};
  std::thread operator_{[&] {
    while (done.load() < requests / 3) std::this_thread::sleep_for(1ms);
    peer.kill();
    peer.start();
    while (done.load() < requests * 2 / 3) std::this_thread::sleep_for(1ms);
    peer.kill();
    std::this_thread::sleep_for(30ms);
    peer.start();
  }};

  constexpr policy patient{.attempts = 12,
                           .backoff = exponential(5ms, 300ms),
                           .jitter = jitter::equal,
                           .attempt_timeout = 20s,
                           .deadline = 90s};
  int next = 0;
  run_loop loop;
  const auto one = [&]() -> task<> {
    while (next < requests) {
      const int i = next++;
      record& mine = records[static_cast<std::size_t>(i)];
      mine.target = "/" + std::to_string(i);
      mine.post = i % 4 != 0;
      auto what = mine.post ? request::post(mine.target).body("apply") : request::get(mine.target);
      if (i % 4 == 1) what.idempotency_key_auto();
      auto op = api.send(std::move(what));
      mine.key = op.request().idempotency_key();
      watched seen;
      auto r = co_await retry(patient, op).observe(std::ref(seen));
      ++mine.results;
      mine.ok = r.has_value() && r->body == mine.target;
      if (!r) mine.reason = r.error().reason();
      mine.sent = seen.sent();
      mine.attempts = seen.records.size();
      ++done;
    }
  };
  std::vector<task<>> all;
  all.reserve(50);
  for (int i = 0; i < senders; ++i) all.push_back(one());
  (void)sync_wait(loop, when_all(std::move(all)));
  operator_.join();
  peer.quit();

  std::size_t felt = 0, given_up = 0;
  std::map<std::string, std::set<std::string>> keys;
  for (const seen_request& r : application.requests()) {
    const std::string* const key = r.header("Idempotency-Key");
    keys[r.target].insert(key != nullptr ? *key : "");
  }
  for (const record& mine : records) {
    CAPTURE(mine.target);
    CHECK(mine.results == 1);
    felt += mine.attempts - 1;
    const std::size_t seen = application.requests_seen(mine.target);
    CHECK(seen <= mine.sent);  // nginx may have received it without passing it on; never the other way round
    if (mine.ok) CHECK(seen >= 1);
    if (mine.post && mine.key.empty()) {
      CHECK(seen <= 1);
      if (!mine.ok) CHECK(mine.reason == stop_reason::not_replayable);
      given_up += mine.ok ? 0U : 1U;
    } else {
      CHECK(mine.ok);  // idempotent, or with a key: sent until there was a response
      CHECK(keys[mine.target].size() == 1);
      CHECK(*keys[mine.target].begin() == (mine.key.empty() ? "" : "\"" + mine.key + "\""));
    }
  }
  CHECK(felt > 0);
  CHECK(application.overruns() == 0);
  MESSAGE("further attempts: ", felt, "; POSTs without a key that were told so instead of sent again: ", given_up);
}
