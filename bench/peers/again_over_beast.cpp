// SPDX-License-Identifier: MIT
#include "again_sends.hpp"

#include <again/asio.hpp>
#include <again/beast.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/http/url.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>

namespace bench::peers {

namespace {

class over_beast {
 public:
  over_beast(const target& to, std::size_t flights, settings how) : to_{to}, flights_{flights}, how_{how} {
    // Peers keep their connections for ever; here they have to survive until it is this client's turn again.
    again::beast::options options;
    options.queue = flights;
    options.max_connections = flights;
    options.keep_idle = std::chrono::minutes{10};
    options.keep_at_most = std::chrono::minutes{10};
    if (how.own_thread)
      transport_.emplace(options);
    else
      transport_.emplace(loop_.get_executor(), options);
    auto origin = again::http::parse_origin(to.origin());
    if (!origin) lost();
    api_.emplace(*transport_, *std::move(origin));
  }
  void operator()(std::size_t n) {
    if (how_.own_thread)
      again::sync_wait(in_flight(*api_, to_, n, flights_, how_.retried));
    else
      again::asio::run(loop_, in_flight(*api_, to_, n, flights_, how_.retried));
  }

 private:
  target to_;
  std::size_t flights_;
  settings how_;
  boost::asio::io_context loop_{1};
  std::optional<again::beast::transport> transport_;
  std::optional<again::http::client_over<again::beast::transport>> api_;
};

}  // namespace

client again_over_beast(const target& to, std::size_t flights, settings how) {
  return [all = std::make_shared<over_beast>(to, flights, how)](std::size_t n) { (*all)(n); };
}

}  // namespace bench::peers
