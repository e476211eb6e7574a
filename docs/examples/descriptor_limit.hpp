// SPDX-License-Identifier: MIT
// The limit on open descriptors: raised as far as it may be, and compared with what the connections need.
#pragma once

#include <again/httplib/transport.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <string>

#include <sys/resource.h>

namespace programs {

/// Raises the soft limit to the hard one, which needs no privilege: the soft one is low for the sake of programs that use select().
/// Returns the limit from then on.
inline rlim_t raise_descriptor_limit() noexcept {
  ::rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return RLIM_INFINITY;
  const ::rlimit raised{limit.rlim_max, limit.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? limit.rlim_max : limit.rlim_cur;
}

/// One line, where `connections` at a time need more descriptors than `limit`; nothing is reduced for it.
inline std::optional<std::string> shortage_of_descriptors(std::size_t connections, rlim_t limit) {
  constexpr std::size_t others = 64;  // input, output, pages and their clients, dead letters, look-ups
  const std::size_t needed = connections * again::http::descriptors_per_connection + others;
  if (limit == RLIM_INFINITY || needed <= limit) return std::nullopt;
  return fmt::format(
      "{} events in flight may need {} descriptors, and the limit is {}: raise it (ulimit -Hn, LimitNOFILE=), or lower "
      "--parallel",
      connections, needed, limit);
}

}  // namespace programs
