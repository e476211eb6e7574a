// SPDX-License-Identifier: MIT
/// \file
/// What this library's clients do, whatever transport they send through.
#pragma once

#include "peers.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/http/client.hpp>
#include <again/retry.hpp>

namespace bench::peers {

inline constexpr again::checked_policy usual{again::policy{}};

template <again::http::transport T>
again::task<> sends(again::http::client_over<T>& api, const target& to, std::size_t left, bool retried) {
  for (; left > 0; --left) {
    if (retried) {
      const auto response = co_await again::retry(usual, api.get(to.path));
      if (!response || response->body.size() != to.body) lost();
    } else {
      const auto response = co_await api.get(to.path);
      if (!response || response->body.size() != to.body) lost();
    }
  }
}
template <again::http::transport T>
again::task<> in_flight(again::http::client_over<T>& api, const target& to, std::size_t n, std::size_t flights,
                        bool retried) {
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < flights; ++i) all.spawn(sends(api, to, part(n, flights, i), retried));
  co_await all.join();
}

}  // namespace bench::peers
