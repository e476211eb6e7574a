// SPDX-License-Identifier: MIT
/// \file
/// `nats::options`: what `nats::store` is opened with, and `nats::parse_place`, which reads "nats://HOST,HOST/STREAM". Every default is
/// finite.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {

struct options {
  /// "HOST" or "HOST:PORT", all of one cluster. They are tried in turns.
  std::vector<std::string> servers{};
  /// The stream of the events. STREAM_results and STREAM_dead stand beside it.
  std::string stream{};
  /// Files in PEM form, as the library takes them; empty: none. A server that wants TLS gets it; `ca` alone makes it a condition.
  std::string ca{}, certificate{}, key{};
  /// A file with the JWT and the seed of a user (`.creds`); empty: none.
  std::string credentials{};
  /// For servers that know users or a token instead. They are never written anywhere.
  std::string user{}, password{}, token{};
  /// Copies of each stream. 0: what the stream has, and 1 where it is made. 3 survive the loss of a server.
  int replicas = 0;
  /// The ack wait of the consumer, where it is made: after this time without a sign of life another worker gets an event. Use the `lease`
  /// of the `durable_sink`.
  duration_with_unit lease = std::chrono::seconds{30};
  /// For how long after an `append` the servers know its ids, whatever has become of the events (after a start only those of unfinished
  /// ones). It costs them some 100 bytes an id. Ten minutes: a producer that repeats itself does it sooner.
  duration_with_unit known = std::chrono::minutes{10};
  /// How long results of events, and their progress, are kept after the last change. As long as there is a result, an event of the same id
  /// is not delivered again. A week.
  duration_with_unit results = std::chrono::hours{24} * 7;
  /// How long dead letters are kept. 30 days: long enough for a person to look at them.
  duration_with_unit dead = std::chrono::hours{24} * 30;
  /// Unfinished events; above it `append` is refused: `full`. Ten million.
  std::int64_t max_events = 10'000'000;
  /// How long one exchange with the servers may take; then the call fails with `unreachable` and another server is tried.
  duration_with_unit timeout = std::chrono::seconds{5};
  /// Calls that wait at a time; further ones fail at once: `shortage`.
  std::size_t queue = 65'536;
};

namespace detail {
/// One word of a subject, and the name of a stream.
constexpr bool stream_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}
inline unexpected<journal::error> wrong_place(std::string what) {
  return unexpected<journal::error>{journal::error{journal::error_kind::invalid, std::move(what)}};
}
}  // namespace detail

/// Reads "nats://HOST[:PORT][,HOST[:PORT]...]/STREAM" into options. The error is `invalid`.
inline expected<options, journal::error> parse_place(std::string_view place) {
  constexpr std::string_view scheme = "nats://";
  if (!place.starts_with(scheme)) return detail::wrong_place("a journal of NATS is nats://HOST,HOST/STREAM");
  place.remove_prefix(scheme.size());
  if (place.find('@') != std::string_view::npos)
    return detail::wrong_place("a password does not belong into a URL: name a file of credentials");
  const std::size_t slash = place.find('/');
  options o;
  if (slash != std::string_view::npos) o.stream = place.substr(slash + 1);
  if (!detail::stream_name(o.stream))
    return detail::wrong_place("nats://HOST,HOST/STREAM: STREAM is made of letters, digits, '_' and '-', 64 at most");
  for (std::string_view hosts = place.substr(0, slash); !hosts.empty();) {
    const std::size_t comma = std::min(hosts.find(','), hosts.size());
    if (comma > 0) o.servers.emplace_back(hosts.substr(0, comma));
    hosts.remove_prefix(std::min(comma + 1, hosts.size()));
  }
  if (o.servers.empty()) return detail::wrong_place("nats://HOST,HOST/STREAM: names no HOST");
  return o;
}

}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
