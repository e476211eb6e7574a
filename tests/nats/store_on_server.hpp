// SPDX-License-Identifier: MIT
/// \file
/// A server for the tests of one program, and stores on streams of its own for each test.
#pragma once

#include <again/nats/store.hpp>

#include "journal/store_contract.hpp"
#include "support/nats_server.hpp"

#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

namespace again_test {

/// Ends the program as one that was skipped where there is no server.
inline void need_nats_server() {
  if (nats_server::installed()) return;
  std::puts("needs nats-server (Debian: nats-server)");
  std::_Exit(77);
}

/// Started at the first use, with nothing but JetStream.
inline nats_server& shared_server() {
  need_nats_server();
  static nats_server one;
  return one;
}

/// A store on a new stream of a server, and a second one on the same stream where a test wants it. In pretend time: leases and waits are
/// the server's, in real time.
struct store_on_server {
  explicit store_on_server(nats_server& s = shared_server()) : server{s} {
    static int made = 0;
    settings.servers = {server.address()};
    settings.stream = "TEST" + std::to_string(++made);
    settings.lease = 90s;
  }
  nats::store& store() {
    if (!store_) open();
    return *store_;
  }
  void open() {
    auto opened = nats::store::open(settings);
    REQUIRE_MESSAGE(opened, (opened ? std::string{} : opened.error().text));
    store_.emplace(std::move(*opened));
  }
  void close() { store_.reset(); }
  store_under_test<nats::store> test() { return {store(), loop, time}; }
  /// Why it cannot be opened.
  journal::error refusal() {
    auto opened = nats::store::open(settings);
    REQUIRE(!opened);
    return opened.error();
  }

  nats_server& server;
  nats::options settings;
  virtual_clock time;
  run_loop loop{time, 1};

 private:
  std::optional<nats::store> store_;
};

/// The reply of the server to one request.
inline std::string asked(const nats::options& o, const std::string& subject, const std::string& body = {}) {
  nats::detail::connection c{o};
  c.connect();
  return std::string{nats::detail::text_of(c.exchange(nats::detail::request{subject, body}))};
}
/// From now on the leaders of the streams alone reply to those who read: a direct read, which any replica serves, gets no reply.
inline void forbid_direct_reads(const nats::options& o) {
  for (const char* const part : {"", "_results", "_dead"}) {
    const std::string stream = o.stream + part;
    const std::string info = asked(o, "$JS.API.STREAM.INFO." + stream);
    const std::size_t from = info.find("\"config\":") + 9, to = info.find(",\"created\":");
    REQUIRE(from < to);
    std::string config = info.substr(from, to - from);
    const std::string allowed = "\"allow_direct\":true";
    REQUIRE(config.find(allowed) != std::string::npos);
    config.replace(config.find(allowed), allowed.size(), "\"allow_direct\":false");
    const std::string changed = asked(o, "$JS.API.STREAM.UPDATE." + stream, config);
    REQUIRE_MESSAGE(changed.find("\"error\"") == std::string::npos, changed);
  }
}

/// Takes until as many have come: those that the server still holds back come when it lets them go.
inline ids take_some(store_under_test<nats::store>& t, std::size_t n, const std::string& worker = "w") {
  ids all;
  while (all.size() < n)
    for (std::string& id : t.take(n - all.size(), worker)) all.push_back(std::move(id));
  return all;
}

}  // namespace again_test
