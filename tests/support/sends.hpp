// SPDX-License-Identifier: MIT
/// \file
/// Single attempts against the misbehaving server, over the transport that this program tests: how they are set up, and what came
/// of them in a word.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/context.hpp>
#include <again/coro/run_loop.hpp>
#include <again/http/transport.hpp>
#include <again/http/url.hpp>

#include "support/misbehaving_server.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace again_test {

// Bounds that a test runs into are short; those that it must not run into are longer than the test may take.
inline constexpr again::http::send_limits patient{.connect = std::chrono::seconds{20},
                                                  .idle = std::chrono::seconds{20},
                                                  .total = std::chrono::seconds{20},
                                                  .max_body = 1U << 20U};
inline constexpr again::http::send_limits hasty{.connect = std::chrono::seconds{20},
                                                .idle = std::chrono::milliseconds{150},
                                                .total = std::chrono::seconds{20},
                                                .max_body = 1U << 20U};

inline std::shared_ptr<const again::http::outgoing> to(const misbehaving_server& server, again::http::request r,
                                                       const again::http::send_limits& l = patient) {
  auto where = again::http::parse_url(server.url());
  REQUIRE(where);
  return std::make_shared<const again::http::outgoing>(where->origin, std::move(r), l);
}
/// The same by a name that the transport has to resolve.
inline std::shared_ptr<const again::http::outgoing> to_name(const misbehaving_server& server, std::string host,
                                                            again::http::request r,
                                                            const again::http::send_limits& l = patient) {
  const auto port = static_cast<std::uint16_t>(server.port());
  return std::make_shared<const again::http::outgoing>(
      again::http::origin{again::http::scheme::http, std::move(host), port}, std::move(r), l);
}

inline transport_options trusting() {
  transport_options o;
  o.cacert = misbehaving_server::authority_file();
  return o;
}
inline server_options with_tls() {
  server_options o;
  o.tls.emplace();
  return o;
}

/// "response 200", or the kind of the error.
inline std::string kind_of(const again::http::send_result& r) {
  return r ? "response " + std::to_string(r->status) : std::string{name(r.error().kind)};
}
inline std::string reach_of(const again::http::send_result& r) {
  return std::string{name(r ? again::reach::answered : r.error().reach)};
}

/// One attempt that the test may stop from its own thread.
class stoppable_send {
 public:
  stoppable_send(transport_under_test& through, std::shared_ptr<const again::http::outgoing> what)
      : thread_{[this, &through, what = std::move(what)]() mutable {
          again::http::send_result r = run(through.send(std::move(what), 1), source_.get_token());
          const std::lock_guard lock{mutex_};
          result_.emplace(std::move(r));
        }} {}
  stoppable_send(const stoppable_send&) = delete;
  stoppable_send& operator=(const stoppable_send&) = delete;
  ~stoppable_send() {
    if (thread_.joinable()) thread_.join();
  }
  again::http::send_result stop() {
    source_.request_stop();
    return result();
  }
  again::http::send_result result() {
    thread_.join();
    return std::move(*result_);
  }

 private:
  again::inplace_stop_source source_;
  std::mutex mutex_;
  std::optional<again::http::send_result> result_;
  std::thread thread_;
};

/// Attempts that are all started before anything else happens, by one thread, which then runs their loop.
class started_sends {
 public:
  void start(transport_under_test& through, const std::shared_ptr<const again::http::outgoing>& what) {
    all_.push_back(std::make_unique<one>(through, what));
    if (!all_.back()->send.start({[](void* self) noexcept { static_cast<started_sends*>(self)->ended(); }, this}, ctx_))
      ++missing_;
  }
  /// Runs until so many of them have ended.
  void wait_for(std::size_t ended) {
    loop_.run_until([&] { return all_.size() - static_cast<std::size_t>(missing_) >= ended; });
  }
  /// Of each, in the order of their starts.
  std::vector<again::http::send_result> take_all() {
    wait_for(all_.size());
    std::vector<again::http::send_result> all;
    for (auto& o : all_) all.push_back(o->send.take());
    return all;
  }
  std::vector<std::string> results() {
    std::vector<std::string> kinds;
    for (const auto& r : take_all()) kinds.push_back(kind_of(r));
    return kinds;
  }

 private:
  struct one {
    one(transport_under_test& through, const std::shared_ptr<const again::http::outgoing>& what)
        : send{through.send(what, 1)} {}
    send_of_transport send;
  };
  void ended() noexcept { --missing_; }

  again::run_loop loop_;
  const again::context ctx_{.scheduler = &loop_};
  int missing_ = 0;
  std::vector<std::unique_ptr<one>> all_;  // before the loop they end
};

/// One attempt that the bound on an attempt cuts off as soon as `reached` has come back with true: no clock decides.
template <class Reached>
again::http::send_result cut_off(transport_under_test& through, std::shared_ptr<const again::http::outgoing> what,
                                 Reached reached) {
  again::run_loop loop;
  again::inplace_stop_source bound;
  const again::context ctx{
      .scheduler = &loop, .stop = bound.get_token(), .deadline = loop.now(), .kind = again::deadline_kind::attempt};
  auto send = through.send(std::move(what), 1);
  const again::continuation over{[](void* l) noexcept { static_cast<again::run_loop*>(l)->finish(); }, &loop};
  REQUIRE(!send.start(over, ctx));
  REQUIRE(reached());
  bound.request_stop();
  loop.run();
  return send.take();
}

inline ::sockaddr_in loopback(int port) {
  ::sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

}  // namespace again_test
