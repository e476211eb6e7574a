// SPDX-License-Identifier: MIT
// The flags of `deliver --listen`: where events are taken over HTTP, and the bounds of it.
#pragma once

#include "options.hpp"

#include <again/core/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace programs {

/// Throws usage_error where the program was built without Boost.Beast.
void require_listener();

struct listen_options {
  std::optional<std::string> where, token_file, certificate, key;
  std::size_t most_bytes = std::size_t{4} << 20U;      // of a request's body: some thousand events
  std::size_t connections = 256;                       // each may hold a request's body
  again::duration timeout = std::chrono::seconds{30};  // of a request, from its first byte to its last

  static constexpr std::size_t most_events = 10'000;  ///< of a request

  void add_to(options& o) {
    o.heading("Events over HTTP (docs/delivery.md)");
    o.with("--listen", "[ADDRESS:]PORT", "take events at POST /events; needs --journal; stdin is not read then",
           [this](std::string_view v) {
             require_listener();
             where = v;
           });
    o.with("--listen-token-file", "FILE", "requests need the bearer token in FILE; any address but loopback needs it",
           [this](std::string_view v) { token_file = v; });
    o.with("--listen-cert", "FILE", "serve TLS with the certificates in FILE (PEM)",
           [this](std::string_view v) { certificate = v; });
    o.with("--listen-key", "FILE", "the private key of --listen-cert (PEM)", [this](std::string_view v) { key = v; });
    o.with("--listen-max", "SIZE", "the largest request (4MiB)", [this](std::string_view v) {
      most_bytes = static_cast<std::size_t>(std::max<std::uint64_t>(size_of(v), 2));
      if (most_bytes > std::size_t{1} << 30U) throw usage_error{"must not be more than 1024MiB"};
    });
    o.with("--listen-timeout", "D", "the time of a request, however slowly it comes (30s)", [this](std::string_view v) {
      timeout = duration_of(v);
      if (timeout < std::chrono::milliseconds{10} || timeout > std::chrono::hours{1})
        throw usage_error{"must be from 10ms to 1h"};
    });
    o.with("--listen-connections", "N", "connections at a time (256)",
           [this](std::string_view v) { connections = number_in<std::size_t>(v, 1, 65536); });
  }

  /// Throws usage_error where the flags contradict each other.
  void check(bool journal, bool replay) const {
    if (!where) {
      if (token_file || certificate || key) throw usage_error{"--listen-...: needs --listen [ADDRESS:]PORT"};
      return;
    }
    if (!journal)
      throw usage_error{"--listen: a response of 202 means that events are kept, which needs --journal FILE"};
    if (replay) throw usage_error{"--listen: takes events, and no dead letters; leave --replay out"};
    if (certificate.has_value() != key.has_value())
      throw usage_error{"--listen-cert and --listen-key: each needs the other"};
  }
};

}  // namespace programs
