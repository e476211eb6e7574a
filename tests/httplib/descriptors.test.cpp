// SPDX-License-Identifier: MIT
// No descriptor, port or memory is left on this side. Linux: a thread can have its own table of descriptors (unshare) and its own
// failing system calls (seccomp), and the threads that it starts share them. So the server is never the one that runs short.
#include <again/httplib/transport.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/few_descriptors.hpp"
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

/// Runs `f` on a thread whose calls of `system_call` fail with `error`, those of the threads that it starts as well.
void with_failing(long system_call, int error, const std::function<void()>& f) {
  bool installed = false;
  std::thread{[&] {
    ::sock_filter rules[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<__u32>(offsetof(::seccomp_data, nr))},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<__u32>(system_call)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<__u32>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    ::sock_fprog program{static_cast<unsigned short>(std::size(rules)), rules};
    installed =
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    if (installed) f();
  }}.join();
  REQUIRE(installed);
}

/// "shortage not_sent: no connection: Too many open files"
std::string told(const send_result& r) { return kind_of(r) + " " + reach_of(r) + (r ? "" : ": " + r.error().detail); }

/// Holds responses back until so many requests are there.
class meeting {
 public:
  explicit meeting(std::size_t n) : missing_{n} {}
  void arrive() {
    std::unique_lock lock{mutex_};
    if (missing_ > 0) --missing_;
    all_here_.notify_all();
    all_here_.wait(lock, [this] { return missing_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::size_t missing_;
};

}  // namespace

TEST_CASE("no descriptor left, and none that we could free: the error is a shortage, not the peer's" *
          doctest::skip(needs_descriptors())) {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    misbehaving_server server{{respond(200, {{"Connection", "close"}}), respond(200)},
                              tls ? with_tls() : server_options{}};
    std::vector<std::string> got;
    with_descriptors_left(4, [&] {
      httplib_transport transport{trusting()};
      got.push_back(kind_of(sync_wait(transport.send(to(server, request::get("/")), 1))));
      while (::dup(STDERR_FILENO) >= 0) {}
      const auto what = to(server, request::post("/").body(body::one_shot("x")));
      for (int i = 1; i <= 2; ++i) got.push_back(told(sync_wait(transport.send(what, i))));
    });
    const std::string none = "shortage not_sent: no connection: Too many open files";
    CHECK(got == std::vector<std::string>{"response 200", none, none});  // the body is still there
    CHECK(server.connections_seen() == 1);
  }
}

TEST_CASE("a connection has one descriptor, over plain and TLS" * doctest::skip(needs_descriptors())) {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    // From 0.16 on the library connects by itself for TLS, with a second descriptor until the handshake begins.
    if (tls && std::is_final_v<httplib::SSLClient>) continue;
    constexpr std::size_t most = 12;
    meeting all{most};
    misbehaving_server server{[&](const seen_request&, int) {
                                all.arrive();
                                return respond(200);
                              },
                              tls ? with_tls() : server_options{}};
    std::vector<std::string> got;
    with_descriptors_left(1 + most, [&] {  // the transport itself has one
      httplib_transport transport{trusting()};
      std::vector<std::unique_ptr<stoppable_send>> sends;
      for (std::size_t i = 0; i < most; ++i)
        sends.push_back(std::make_unique<stoppable_send>(transport, to(server, request::get("/"))));
      for (auto& s : sends) got.push_back(kind_of(s->result()));
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
  with_descriptors_left(3, [&] {
    httplib_options options;
    options.keep_idle = 1h;
    httplib_transport transport{options};
    for (const auto* server : {&a, &b, &b, &c, &b, &a})
      got.push_back(kind_of(sync_wait(transport.send(to(*server, request::get("/")), 1))));
  });
  CHECK(got == std::vector<std::string>(6, "response 200"));
  CHECK(a.connections_seen() == 2);
  CHECK(b.connections_seen() == 1);
  CHECK(c.connections_seen() == 1);
}

TEST_CASE("of one origin's idle connections, too, the one used longest ago is closed" *
          doctest::skip(needs_descriptors())) {
  std::mutex mutex;
  std::condition_variable changed;
  bool let_go = false;
  misbehaving_server a{[&](const seen_request& r, int) {
    std::unique_lock lock{mutex};
    if (r.target == "/held") changed.wait(lock, [&] { return let_go; });
    return respond(200);
  }};
  misbehaving_server b{{respond(200)}};
  std::vector<std::string> got;
  with_descriptors_left(3, [&] {
    httplib_options options;
    options.keep_idle = 1h;
    httplib_transport transport{options};
    stoppable_send held{transport, to(a, request::get("/held"))};
    if (!a.wait_until([](const tally& t) { return t.requests == 1; })) return;
    got.push_back(kind_of(sync_wait(transport.send(to(a, request::get("/")), 1))));
    {
      const std::lock_guard lock{mutex};
      let_go = true;
    }
    changed.notify_all();
    got.push_back(kind_of(held.result()));
    got.push_back(kind_of(sync_wait(transport.send(to(b, request::get("/")), 1))));
    got.push_back(kind_of(sync_wait(transport.send(to(a, request::get("/")), 1))));
  });
  REQUIRE(got == std::vector<std::string>(4, "response 200"));
  CHECK(a.request(1).connection == 1);  // idle before the one that was held
  CHECK(a.request(2).connection == 0);
}

TEST_CASE("an attempt without a descriptor waits for another one to end, as long as its bound and its caller allow" *
          doctest::skip(needs_descriptors())) {
  std::mutex mutex;
  std::condition_variable changed;
  bool let_go = false;
  misbehaving_server server{[&](const seen_request& r, int) {
    std::unique_lock lock{mutex};
    if (r.target == "/held") changed.wait(lock, [&] { return let_go; });
    return respond(200, {{"Connection", "close"}});
  }};
  std::vector<std::string> got;
  with_descriptors_left(2, [&] {
    httplib_transport transport;
    stoppable_send held{transport, to(server, request::get("/held"))};
    if (!server.wait_until([](const tally& t) { return t.requests == 1; })) return;
    send_limits l = patient;
    l.total = 50ms;
    got.push_back(told(sync_wait(transport.send(to(server, request::get("/bounded"), l), 1))));
    got.push_back(told(cut_off(transport, to(server, request::get("/cut-off")), [] { return true; })));
    stoppable_send waiting{transport, to(server, request::get("/waiting"))};
    {
      const std::lock_guard lock{mutex};
      let_go = true;
    }
    changed.notify_all();
    got.push_back(kind_of(held.result()));
    got.push_back(kind_of(waiting.result()));
  });
  REQUIRE(got.size() == 4);
  CHECK(got[0] == "timeout not_sent: no complete response in time");
  CHECK(got[1] == "timeout not_sent: stopped");
  CHECK(got[2] == "response 200");
  CHECK(got[3] == "response 200");
  CHECK(server.requests_seen() == 2);
}

TEST_CASE("more attempts than descriptors: each gets its response" * doctest::skip(needs_descriptors())) {
  misbehaving_server server{[](const seen_request&, int nth) {
    return respond(200, {{"Connection", nth % 2 == 0 ? "close" : "keep-alive"}});
  }};
  std::vector<std::string> got;
  with_descriptors_left(4, [&] {
    httplib_transport transport;
    std::vector<std::unique_ptr<stoppable_send>> sends;
    for (int i = 0; i < 60; ++i)
      sends.push_back(std::make_unique<stoppable_send>(transport, to(server, request::post("/").body("x"))));
    for (auto& s : sends) got.push_back(told(s->result()));
  });
  CHECK(got.size() == 60);
  for (const std::string& one : got) CHECK(one == "response 200 answered");
  CHECK(server.requests_seen() == 60);
}

TEST_CASE("destroying the transport ends attempts that wait for a descriptor" * doctest::skip(needs_descriptors())) {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  std::vector<std::string> got;
  with_descriptors_left(2, [&] {
    auto transport = std::make_unique<httplib_transport>();
    started_sends sends;
    for (int i = 0; i < 3; ++i) sends.start(*transport, to(server, request::get("/")));
    if (!server.wait_until([](const tally& t) { return t.requests == 1; })) return;
    transport.reset();
    got = sends.results();
  });
  CHECK(got == std::vector<std::string>(3, "cancelled"));
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a shortage is no mark against the address that was to be connected to" *
          doctest::skip(needs_descriptors())) {
  misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // another address, which never responds
  auto where = loopback(server.port());
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  REQUIRE(::bind(silent, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
  REQUIRE(::listen(silent, 1) == 0);
  std::vector<std::string> got;
  with_descriptors_left(2, [&] {
    httplib_options options;
    options.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.1", "127.0.0.2"}; };
    httplib_transport transport{options};
    const int last = ::dup(STDERR_FILENO);
    const auto what = to_name(server, "two.example", request::get("/"), hasty);
    got.push_back(kind_of(sync_wait(transport.send(what, 1))));
    ::close(last);
    got.push_back(kind_of(sync_wait(transport.send(what, 2))));
  });
  ::close(silent);
  CHECK(got == std::vector<std::string>{"shortage", "response 200"});
}

TEST_CASE("no descriptor for a body's file is a shortage, too" * doctest::skip(needs_descriptors())) {
  const std::string path = "/tmp/again-descriptors-" + std::to_string(::getpid());
  std::ofstream{path} << "content";
  misbehaving_server server{{respond(200), respond(200)}};
  std::string none;
  std::vector<std::string> few;
  with_descriptors_left(0, [&] {
    httplib_transport transport;
    none = told(sync_wait(transport.send(to(server, request::put("/").body(body::file(path))), 1)));
  });
  with_descriptors_left(3, [&] {  // transport, file, connection
    httplib_transport transport;
    for (int i = 1; i <= 2; ++i)
      few.push_back(kind_of(sync_wait(transport.send(to(server, request::put("/").body(body::file(path))), i))));
  });
  std::filesystem::remove(path);
  CHECK(none == "shortage not_sent: the body's file '" + path + "' could not be opened");
  CHECK(few == std::vector<std::string>(2, "response 200"));
}

TEST_CASE("what the kernel has not got for us is a shortage, in every phase, and reach tells the truth") {
  struct row {
    long system_call;
    int error;
    const char* told;
  };
  const row rows[] = {
      {SYS_socket, ENFILE, "shortage not_sent: no connection: Too many open files in system"},
      {SYS_socket, ENOBUFS, "shortage not_sent: no connection: No buffer space available"},
      {SYS_socket, ENOMEM, "shortage not_sent: no connection: Cannot allocate memory"},
      {SYS_socket, EACCES, "refused not_sent: no connection: Permission denied"},
      {SYS_connect, EADDRNOTAVAIL, "shortage not_sent: no connection: Cannot assign requested address"},
      {SYS_connect, EAGAIN, "shortage not_sent: no connection: Cannot assign requested address"},
      {SYS_connect, ENETUNREACH, "refused not_sent: no connection: Network is unreachable"},
      {SYS_sendto, ENOBUFS, "shortage not_sent: the connection failed: No buffer space available"},
      {SYS_recvfrom, ENOMEM, "shortage maybe_sent: the connection failed: Cannot allocate memory"},
      {SYS_recvfrom, ENOBUFS, "shortage maybe_sent: the connection failed: No buffer space available"},
      {SYS_recvfrom, ECONNRESET, "reset maybe_sent: the connection was reset before a response"},
      {SYS_recvfrom, ETIMEDOUT, "timeout maybe_sent: no response in time"},
      {SYS_recvfrom, EHOSTUNREACH, "reset maybe_sent: the connection broke: No route to host"},
  };
  for (const row& r : rows) {
    CAPTURE(r.told);
    misbehaving_server server{{hang()}};
    std::string got;
    with_failing(r.system_call, r.error, [&] {
      httplib_transport transport;
      got = told(sync_wait(transport.send(to(server, request::get("/")), 1)));
    });
    CHECK(got.starts_with(r.told));
  }
}
