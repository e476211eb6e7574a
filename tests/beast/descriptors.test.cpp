// SPDX-License-Identifier: MIT
// No descriptor is left on this side.
#include <again/beast.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/few_descriptors.hpp"
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <unistd.h>

namespace beast = again::beast;
using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

std::string told(const send_result& r) { return kind_of(r) + " " + reach_of(r) + (r ? "" : ": " + r.error().detail); }

/// Asio opens its own descriptors with the first socket.
void warm_up(beast::transport& t) {
  misbehaving_server any{{respond(200, {{"Connection", "close"}})}};
  REQUIRE(sync_wait(t.send(to(any, request::get("/")), 1)));
}

/// Holds the responses to `/held` back until it is opened.
class gatekeeper {
 public:
  step respond_to(const seen_request& r) {
    std::unique_lock lock{mutex_};
    if (r.target == "/held") changed_.wait(lock, [this] { return open_; });
    return respond(200, {{"Connection", "close"}});
  }
  void open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("no descriptor left, and none that we could free: a shortage, not the peer's fault, and the body is kept" *
          doctest::skip(needs_descriptors())) {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    misbehaving_server server{{respond(200)}, tls ? with_tls() : server_options{}};
    std::vector<std::string> got;
    with_own_descriptors([&] {
      beast::transport transport{trusting()};
      warm_up(transport);
      descriptor_hog hog{0};
      const auto what = to(server, request::post("/").body(body::one_shot("x")));
      for (int i = 1; i <= 2; ++i) got.push_back(told(sync_wait(transport.send(what, i))));
      hog.release(8);
      got.push_back(told(sync_wait(transport.send(what, 3))));
    });
    const std::string none = "shortage not_sent: no connection: Too many open files";
    CHECK(got == std::vector<std::string>{none, none, "response 200 answered"});
    CHECK(server.request(0).body == "x");
    CHECK(server.connections_seen() == 1);
  }
}

TEST_CASE("a connection has one descriptor, over plain and TLS" * doctest::skip(needs_descriptors())) {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    constexpr std::size_t most = 12;
    std::mutex mutex;
    std::condition_variable all_here;
    std::size_t missing = most;
    misbehaving_server server{[&](const seen_request&, int) {
                                std::unique_lock lock{mutex};
                                --missing;
                                all_here.notify_all();
                                all_here.wait(lock, [&] { return missing == 0; });
                                return respond(200);
                              },
                              tls ? with_tls() : server_options{}};
    std::vector<std::string> got;
    with_own_descriptors([&] {
      beast::transport transport{trusting()};
      warm_up(transport);
      const descriptor_hog hog{most};
      again::run_loop loop;
      const again::context ctx{.scheduler = &loop};
      struct counter {
        again::run_loop* loop;
        std::size_t left;
      } over{&loop, most};
      const again::continuation k{[](void* self) noexcept {
                                    auto& c = *static_cast<counter*>(self);
                                    if (--c.left == 0) c.loop->finish();
                                  },
                                  &over};
      std::vector<std::unique_ptr<beast::detail::beast_send>> sends;
      for (std::size_t i = 0; i < most; ++i) {
        sends.emplace_back(new beast::detail::beast_send{transport.send(to(server, request::get("/")), 1)});
        static_cast<void>(sends.back()->start(k, ctx));
      }
      loop.run();
      for (auto& s : sends) got.push_back(kind_of(s->take()));
    });
    CHECK(got == std::vector<std::string>(most, "response 200"));
    CHECK(server.connections_seen() == most);
  }
}

TEST_CASE("an attempt without a descriptor closes the connection that has been idle for longest" *
          doctest::skip(needs_descriptors())) {
  misbehaving_server a{[](const seen_request&, int) { return respond(200); }};
  misbehaving_server b{[](const seen_request&, int) { return respond(200); }};
  misbehaving_server c{[](const seen_request&, int) { return respond(200); }};
  std::vector<std::string> got;
  with_own_descriptors([&] {
    beast::transport transport{{.keep_idle = 1h}};
    warm_up(transport);
    const descriptor_hog hog{2};
    for (const auto* server : {&a, &b, &b, &c, &b, &a})
      got.push_back(told(sync_wait(transport.send(to(*server, request::get("/")), 1))));
  });
  CHECK(got == std::vector<std::string>(6, "response 200 answered"));
  CHECK(a.connections_seen() == 2);
  CHECK(b.connections_seen() == 1);
  CHECK(c.connections_seen() == 1);
}

TEST_CASE("an attempt without a descriptor waits for another one to end, as long as its bound and its caller allow" *
          doctest::skip(needs_descriptors())) {
  gatekeeper gate;
  misbehaving_server server{[&](const seen_request& r, int) { return gate.respond_to(r); }};
  std::vector<std::string> got;
  with_own_descriptors([&] {
    beast::transport transport;
    warm_up(transport);
    const descriptor_hog hog{1};
    again::run_loop loop;
    const again::context ctx{.scheduler = &loop};
    const again::continuation done{[](void* l) noexcept { static_cast<again::run_loop*>(l)->finish(); }, &loop};
    auto held = transport.send(to(server, request::get("/held")), 1);
    static_cast<void>(held.start(done, ctx));
    if (!server.wait_until([](const tally& t) { return t.requests == 1; })) return;
    send_limits l = patient;
    l.total = 50ms;
    got.push_back(told(sync_wait(transport.send(to(server, request::get("/bounded"), l), 1))));
    again::run_loop other;
    const again::context elsewhere{.scheduler = &other};
    const again::continuation later{[](void* o) noexcept { static_cast<again::run_loop*>(o)->finish(); }, &other};
    auto waiting = transport.send(to(server, request::get("/waiting")), 1);
    static_cast<void>(waiting.start(later, elsewhere));
    gate.open();
    loop.run();
    got.push_back(kind_of(held.take()));
    other.run();
    got.push_back(kind_of(waiting.take()));
  });
  REQUIRE(got.size() == 3);
  CHECK(got[0] == "timeout not_sent: no complete response in time");
  CHECK(got[1] == "response 200");
  CHECK(got[2] == "response 200");
  CHECK(server.requests_seen() == 2);
}

TEST_CASE("no descriptor for a body's file is a shortage, too" * doctest::skip(needs_descriptors())) {
  const std::string path = "/tmp/again-beast-descriptors-" + std::to_string(::getpid());
  std::ofstream{path} << "content";
  misbehaving_server server{{respond(200), respond(200)}};
  std::vector<std::string> got;
  with_own_descriptors([&] {
    beast::transport transport;
    warm_up(transport);
    const auto what = to(server, request::put("/").body(body::file(path)));
    {
      const descriptor_hog hog{0};
      got.push_back(told(sync_wait(transport.send(what, 1))));
    }
    const descriptor_hog hog{2};  // the file and the connection
    for (int i = 2; i <= 3; ++i) got.push_back(told(sync_wait(transport.send(what, i))));
  });
  std::filesystem::remove(path);
  REQUIRE(got.size() == 3);
  CHECK(got[0] == "shortage not_sent: the body's file '" + path + "' could not be opened");
  CHECK(got[1] == "response 200 answered");
  CHECK(got[2] == "response 200 answered");
}

TEST_CASE(
    "no descriptor for Asio itself, which it needs with the first socket, is a shortage, and the next attempt works" *
    doctest::skip(needs_descriptors())) {
  misbehaving_server server{{respond(200)}};
  std::vector<std::string> got;
  with_own_descriptors([&] {
    beast::transport transport;
    const auto what = to(server, request::post("/").body(body::one_shot("x")));
    {
      const descriptor_hog hog{0};
      const auto r = sync_wait(transport.send(what, 1));
      got.push_back(kind_of(r) + " " + reach_of(r));
    }
    got.push_back(kind_of(sync_wait(transport.send(what, 2))));
  });
  REQUIRE(got.size() == 2);
  CHECK(std::string{got[0]} == "shortage not_sent");
  CHECK(got[1] == "response 200");
}
