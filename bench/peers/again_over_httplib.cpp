// SPDX-License-Identifier: MIT
#include "again_sends.hpp"

#include <again/coro/sync_wait.hpp>
#include <again/http.hpp>

#include <chrono>
#include <memory>

namespace bench::peers {

client again_over_httplib(const target& to, std::size_t flights, settings how) {
  // Peers keep their connections for ever; here they have to survive until it is this client's turn again.
  const auto api =
      std::make_shared<again::http::client>(to.origin(), again::http::client_options{},
                                            again::http::httplib_options{.workers = flights,
                                                                         .queue = flights,
                                                                         .max_connections = flights,
                                                                         .keep_idle = std::chrono::minutes{10},
                                                                         .keep_at_most = std::chrono::minutes{10}});
  return [api, to, flights, how](std::size_t n) {
    again::run_loop loop;
    loop.share_with_workers(how.shared_loop);
    again::sync_wait(loop, in_flight(*api, to, n, flights, how.retried));
  };
}

}  // namespace bench::peers
