// SPDX-License-Identifier: MIT
#include "peers.hpp"

#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <httplib.h>

namespace bench::peers {

client httplib_threads(const target& to, std::size_t flights) {
  const auto clients = std::make_shared<std::deque<httplib::Client>>();
  for (std::size_t i = 0; i < flights; ++i) {
    clients->emplace_back("127.0.0.1", to.port);
    clients->back().set_keep_alive(true);
    clients->back().set_tcp_nodelay(true);
  }
  return [clients, to](std::size_t n) {
    std::vector<std::thread> all;
    all.reserve(clients->size());
    for (std::size_t t = 0; t < clients->size(); ++t) {
      all.emplace_back([&to, &client = (*clients)[t], left = part(n, clients->size(), t)]() mutable {
        for (; left > 0; --left) {
          const auto response = client.Get(to.path);
          if (!response || response->body.size() != to.body) lost();
        }
      });
    }
    for (std::thread& t : all) t.join();
  };
}

}  // namespace bench::peers
