// SPDX-License-Identifier: MIT
/// \file
/// `resources`: what all attempts of a transport share. `origin_entry`: what it keeps for one origin.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/beast/detail/body_feed.hpp>
#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/send_job.hpp>
#include <again/beast/detail/tls_session.hpp>
#include <again/core/clock.hpp>
#include <again/http/url.hpp>
#include <again/net/detail/address_order.hpp>
#include <again/net/detail/resolver.hpp>
#include <again/net/detail/route.hpp>
#include <again/net/detail/tls_credentials.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// What a transport is set up with, checked.
struct pool_settings {
  std::size_t queue = 1024;
  std::size_t connections = 64;  ///< per origin
  duration keep_idle{}, keep_at_most{};
  duration next_address_after{};
  http::detail::route via;
  std::string proxy_authorization;
  http::detail::tls_files certificates;
  std::string pinned;
  http::detail::resolver::look_up_function look_up;
  std::size_t look_ups = 2;
  duration keep_failed_lookup{};
  std::size_t body_threads = 4;
};

/// In the pool's turns, but for `names` and `bodies`: any thread.
struct resources {
  explicit resources(executor_scheduler& on, pool_settings&& s)
      : loop{on},
        via{std::move(s.via)},
        proxy_authorization{std::move(s.proxy_authorization)},
        next_address_after{s.next_address_after},
        tls{s.certificates, s.pinned},
        names{std::move(s.look_up), s.look_ups, {.at_most = s.keep_failed_lookup}},
        bodies{s.body_threads} {}

  executor_scheduler& loop;
  const http::detail::route via;
  const std::string proxy_authorization;
  const duration next_address_after;
  open_connections connections;  // any thread
  tls_context tls;
  http::detail::resolver names;
  body_threads bodies;
  std::array<char, 65536> space;  // one read at a time goes through it
};

/// In the pool's turns.
struct origin_entry {
  http::detail::address_order addresses;
  tls_memory tls;
  std::size_t in_use = 0;
  again::detail::intrusive_list<send_job> waiting;
  std::vector<std::shared_ptr<connection>> idle;  // the one used last is the last

  // In the list of those in which the next attempt may begin.
  bool to_advance = false;
  origin_entry* next = nullptr;
  origin_entry* previous = nullptr;

  bool needed() const noexcept { return in_use > 0 || !waiting.empty() || !idle.empty() || to_advance; }
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
