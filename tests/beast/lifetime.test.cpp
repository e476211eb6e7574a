// SPDX-License-Identifier: MIT
// What ends while a send is out: the awaiting side, the transport, the loop, in each order, at each point where a send can stand. How a
// send is stopped there is in tests/transport/cancel.test.cpp.
#include <again/beast.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/task.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace net = boost::asio;
namespace beast = again::beast;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

std::ptrdiff_t entries_of(const char* folder) {
  return std::distance(std::filesystem::directory_iterator{folder}, std::filesystem::directory_iterator{});
}
std::ptrdiff_t descriptors() { return entries_of("/proc/self/fd"); }
std::ptrdiff_t threads() { return entries_of("/proc/self/task"); }

/// A look-up that hangs until it is let go.
class hanging_names {
 public:
  std::vector<std::string> operator()() {
    std::unique_lock lock{mutex_};
    asked_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return let_go_; });
    return {"127.0.0.1"};
  }
  bool wait_until_asked() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return asked_; });
    return true;
  }
  void let_go() {
    const std::lock_guard lock{mutex_};
    let_go_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, let_go_ = false;
};

/// Where a send stands.
enum class point { look_up, connecting, handshake, writing, head, head_over_tls, body };
constexpr point all_points[] = {point::look_up, point::connecting,    point::handshake, point::writing,
                                point::head,    point::head_over_tls, point::body};

/// A server, the options of a transport, and a request that stays there.
class scene {
 public:
  explicit scene(point where) : where_{where} {
    const bool tls = where == point::handshake || where == point::head_over_tls;
    server_options how = tls ? with_tls() : server_options{};
    how.decide_before_body = true;
    if (where == point::connecting || where == point::handshake) {
      server_ = std::make_unique<misbehaving_server>(
          std::vector<step>(3, where == point::connecting ? blackhole(1h) : tls_handshake_stall()), how);
    } else {
      server_ = std::make_unique<misbehaving_server>(
          [where](const seen_request&, int) {
            return where == point::writing ? stop_reading() : where == point::body ? stall_body("half", 8) : hang();
          },
          how);
    }
  }
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;
  ~scene() { names_->let_go(); }

  beast::options options() const {
    beast::options o = trusting();
    if (where_ == point::look_up) o.resolve = [names = names_](const std::string&) { return (*names)(); };
    return o;
  }
  std::shared_ptr<const outgoing> what() const {
    if (where_ == point::look_up) return to_name(*server_, "hangs.example", request::get("/"));
    return to(*server_,
              where_ == point::writing ? request::put("/").body(std::string(64U << 20U, 'b')) : request::get("/"));
  }
  /// Until so many sends are there.
  bool wait_until_there(std::size_t n = 1) const {
    switch (where_) {
      case point::look_up: return names_->wait_until_asked();
      case point::connecting: return true;  // whether the SYN is out already makes no difference
      case point::handshake: return server_->wait_until([n](const tally& t) { return t.connections >= n; });
      default: return server_->wait_until([n](const tally& t) { return t.requests >= n; });
    }
  }
  /// A server that reads nothing does not see the end of a connection behind the bytes of the request.
  bool wait_until_gone() const { return where_ == point::writing || server_->wait_until_no_connection(); }
  const misbehaving_server& server() const { return *server_; }

 private:
  const point where_;
  std::shared_ptr<hanging_names> names_ = std::make_shared<hanging_names>();
  std::unique_ptr<misbehaving_server> server_;
};

/// Loops that a caller may have, each with a number of threads; 0: none, so that the transport has its own.
constexpr std::size_t all_loops[] = {0, 1, 4};
class some_loop {
 public:
  explicit some_loop(std::size_t n) {
    if (n > 0) pool_ = std::make_unique<net::thread_pool>(n);
  }
  std::unique_ptr<beast::transport> transport(beast::options o) {
    if (!pool_) return std::make_unique<beast::transport>(std::move(o));
    return std::make_unique<beast::transport>(pool_->get_executor(), std::move(o));
  }

 private:
  std::unique_ptr<net::thread_pool> pool_;
};

again::task<send_result> awaiting(beast::transport& t, std::shared_ptr<const outgoing> what) {
  co_return co_await t.send(std::move(what), 1);
}

/// Says when the frame that it is in has been destroyed.
struct witness {
  explicit witness(int& n) noexcept : alive{&n} { ++n; }
  witness(const witness&) = delete;
  witness& operator=(const witness&) = delete;
  ~witness() { --*alive; }
  int* alive;
};
again::task<send_result> watched(beast::transport& t, std::shared_ptr<const outgoing> what, int& alive) {
  const witness w{alive};
  co_return co_await t.send(std::move(what), 1);
}

}  // namespace

TEST_CASE("a send that is destroyed, wherever it stands, ends without its awaiting side, and its connection with it") {
  for (const point where : all_points) {
    for (const std::size_t n : all_loops) {
      CAPTURE(static_cast<int>(where));
      CAPTURE(n);
      const auto before = descriptors();
      {
        const scene s{where};
        some_loop loop{n};
        const auto transport = loop.transport(s.options());
        {
          again::run_loop awaits;
          const again::context ctx{.scheduler = &awaits};
          auto send = transport->send(s.what(), 1);
          bool called = false;
          const again::continuation k{[](void* self) noexcept { *static_cast<bool*>(self) = true; }, &called};
          REQUIRE(!send.start(k, ctx));
          REQUIRE(s.wait_until_there());
          CHECK(!called);
        }
        CHECK(s.wait_until_gone());
      }
      CHECK(descriptors() <= before);
    }
  }
}

TEST_CASE("a transport that is destroyed gives each send its result, wherever it stands") {
  for (const point where : all_points) {
    for (const std::size_t n : all_loops) {
      CAPTURE(static_cast<int>(where));
      CAPTURE(n);
      const auto before = descriptors();
      {
        const scene s{where};
        some_loop loop{n};
        auto transport = loop.transport(s.options());
        again::run_loop awaits;
        const again::context ctx{.scheduler = &awaits};
        auto send = transport->send(s.what(), 1);
        REQUIRE(!send.start({[](void* l) noexcept { static_cast<again::run_loop*>(l)->finish(); }, &awaits}, ctx));
        REQUIRE(s.wait_until_there());
        transport.reset();
        awaits.run();
        const auto r = send.take();
        CHECK(kind_of(r) == "cancelled");
        // Whether the head has been read by now is not known.
        if (where != point::body) CHECK(reach_of(r) == (where <= point::handshake ? "not_sent" : "maybe_sent"));
        CHECK(s.wait_until_gone());
      }
      CHECK(descriptors() <= before);
    }
  }
}

TEST_CASE("a loop that is stopped with sends out goes on with them when it is run again") {
  std::mutex mutex;
  std::condition_variable changed;
  bool let_go = false;
  misbehaving_server server{[&](const seen_request&, int) {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return let_go; });
    return respond(200).body("late");
  }};
  net::io_context io;
  beast::transport transport{io.get_executor()};
  std::vector<std::string> got;
  for (int i = 0; i < 3; ++i) {
    again::asio::async_run(io, awaiting(transport, to(server, request::get("/"))),
                           [&](const std::exception_ptr&, const send_result& r) { got.push_back(kind_of(r)); });
  }
  std::thread runs{[&] { io.run(); }};
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 3; }));
  io.stop();
  runs.join();
  CHECK(got.empty());
  {
    const std::lock_guard lock{mutex};
    let_go = true;
  }
  changed.notify_all();
  io.restart();
  io.run();
  CHECK(got == std::vector<std::string>(3, "response 200"));
}

TEST_CASE(
    "a loop that is destroyed with sends out destroys their coroutines, calls no handler, and keeps nothing open") {
  for (const point where : all_points) {
    for (const bool loop_first : {true, false}) {
      for (const std::size_t n : {std::size_t{1}, std::size_t{4}}) {
        CAPTURE(static_cast<int>(where));
        CAPTURE(loop_first);
        CAPTURE(n);
        const auto before = descriptors();
        {
          const scene s{where};
          auto io = std::make_unique<net::io_context>();
          auto transport = std::make_unique<beast::transport>(io->get_executor(), s.options());
          int alive = 0;
          bool called = false;
          for (int i = 0; i < 3; ++i) {
            again::asio::async_run(*io, watched(*transport, s.what(), alive), [&](auto&&...) { called = true; });
          }
          std::vector<std::thread> run;
          for (std::size_t i = 0; i < n; ++i) run.emplace_back([&] { io->run(); });
          REQUIRE(s.wait_until_there(3));
          io->stop();
          for (std::thread& t : run) t.join();
          if (loop_first) {
            io.reset();
            CHECK(alive == 0);
            transport.reset();
          } else {
            transport.reset();
            io.reset();
          }
          CHECK(alive == 0);
          CHECK(!called);
          CHECK(s.wait_until_gone());
        }
        CHECK(descriptors() <= before);
      }
    }
  }
}

TEST_CASE(
    "sends that are awaited elsewhere end as cancelled when the transport's loop is destroyed, and later ones too") {
  for (const point where : all_points) {
    CAPTURE(static_cast<int>(where));
    const scene s{where};
    auto io = std::make_unique<net::io_context>();
    beast::transport transport{io->get_executor(), s.options()};
    again::run_loop awaits;
    const again::context ctx{.scheduler = &awaits};
    const again::continuation k{[](void* l) noexcept { static_cast<again::run_loop*>(l)->finish(); }, &awaits};
    auto send = transport.send(s.what(), 1);
    REQUIRE(!send.start(k, ctx));
    std::thread runs{[&] { io->run(); }};
    REQUIRE(s.wait_until_there());
    io->stop();
    runs.join();
    io.reset();
    awaits.run();
    CHECK(kind_of(send.take()) == "cancelled");
    CHECK(s.wait_until_gone());
    auto later = transport.send(to(s.server(), request::get("/")), 1);
    if (!later.start(k, ctx)) awaits.run();
    const auto r = later.take();
    CHECK(kind_of(r) == "cancelled");
    CHECK(reach_of(r) == "not_sent");
  }
}

TEST_CASE("a transport is destroyed by the coroutine that awaits it, on its own loop, while another send is out") {
  misbehaving_server server{[](const seen_request& r, int) { return r.target == "/hang" ? hang() : respond(200); }};
  for (const std::size_t n : {std::size_t{1}, std::size_t{4}}) {
    CAPTURE(n);
    net::io_context io;
    auto transport = std::make_unique<beast::transport>(io.get_executor());
    std::string hanging, quick;
    again::asio::async_run(io, awaiting(*transport, to(server, request::get("/hang"))),
                           [&](const std::exception_ptr&, const send_result& r) { hanging = kind_of(r); });
    again::asio::async_run(io, awaiting(*transport, to(server, request::get("/"))),
                           [&](const std::exception_ptr&, const send_result& r) {
                             quick = kind_of(r);
                             transport.reset();
                           });
    std::vector<std::thread> run;
    for (std::size_t i = 0; i < n; ++i) run.emplace_back([&] { io.run(); });
    for (std::thread& t : run) t.join();  // nothing is left that keeps the loop
    CHECK(quick == "response 200");
    CHECK(hanging == "cancelled");
    CHECK(server.wait_until_no_connection());
  }
}

TEST_CASE(
    "on a caller's loop a transport starts no thread, and its idle connections do not keep the loop from ending") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  net::io_context io;
  beast::transport transport{io.get_executor(), {.keep_idle = 1h}};
  std::string got;
  again::asio::async_run(io, awaiting(transport, to(server, request::get("/"))),
                         [&](const std::exception_ptr&, const send_result& r) { got = kind_of(r); });
  const auto before = threads();
  io.run_one();
  const auto during = threads();
  io.run();
  CHECK(got == "response 200");
  CHECK(during - before <= 1);  // the server's, for the connection
  CHECK(server.open_connections() == 1);
}

TEST_CASE("many sends of many threads over one transport on four threads, stopped at any moment: one result each") {
  misbehaving_server server{[](const seen_request&, int nth) {
    return nth % 3 == 0 ? hang() : nth % 3 == 1 ? respond(200).body("whole") : drip(std::string(50, 'x'), 1ms);
  }};
  const auto before = descriptors();
  {
    some_loop loop{4};
    const auto transport = loop.transport({});
    std::vector<std::thread> senders;
    std::mutex mutex;
    int responses = 0, cancelled = 0;
    for (std::uint64_t t = 0; t < 4; ++t) {
      senders.emplace_back([&, t] {
        again::random_stream moments{t};
        for (int i = 0; i < 40; ++i) {
          again::run_loop awaits;
          again::inplace_stop_source stop;
          std::thread stops{[&] {
            std::this_thread::sleep_for(std::chrono::microseconds{moments.bits() % 3000});
            stop.request_stop();
          }};
          const auto r = again::sync_wait(awaits, transport->send(to(server, request::get("/")), 1), stop.get_token());
          stops.join();
          const std::lock_guard lock{mutex};
          responses += r ? 1 : 0;
          cancelled += kind_of(r) == "cancelled" ? 1 : 0;
        }
      });
    }
    for (std::thread& t : senders) t.join();
    CHECK(responses + cancelled == 160);
  }
  CHECK(server.wait_until_no_connection());
  CHECK(descriptors() <= before);
}
