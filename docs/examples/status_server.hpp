// SPDX-License-Identifier: MIT
// A few pages over HTTP, on a thread of their own: what a service tells those who watch it.
#pragma once

#include "options.hpp"

#include <fmt/format.h>
#include <httplib.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <sys/socket.h>

namespace programs {

class status_server {
 public:
  struct page {
    int status = 200;
    std::string body;
    std::string type;
  };
  using parameter = std::function<std::string(const char*)>;

  /// `where`: PORT, or ADDRESS:PORT; without an address only this machine can reach it; 0 is any free port.
  explicit status_server(std::string_view where) {
    const auto colon = where.rfind(':');
    if (colon != std::string_view::npos) host_ = where.substr(0, colon);
    wanted_ = number_in<int>(colon == std::string_view::npos ? where : where.substr(colon + 1), 0, 65535);
    server_.new_task_queue = [] { return new httplib::ThreadPool(2); };  // cpp-httplib deletes it
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(5, 0);
    server_.set_write_timeout(5, 0);
    server_.set_payload_max_length(4096);
    server_.set_socket_options(
        [](auto socket) {  // not cpp-httplib's SO_REUSEPORT, by which two programs would share a port unseen
          const int on = 1;
          ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        });
  }
  status_server(const status_server&) = delete;
  status_server& operator=(const status_server&) = delete;
  ~status_server() {
    if (!serving_.joinable()) return;
    server_.stop();
    serving_.join();
  }

  /// `make` is called on the server's threads.
  void serve(const std::string& path, std::function<page(const parameter&)> make) {
    server_.Get(path, [make = std::move(make)](const httplib::Request& request, httplib::Response& answer) {
      const page p = make([&request](const char* name) { return request.get_param_value(name); });
      answer.status = p.status;
      if (p.status != 204) answer.set_content(p.body, p.type.c_str());
    });
  }
  /// Returns the port; throws usage_error where it cannot be had.
  int start() {
    const int port = wanted_ == 0                           ? server_.bind_to_any_port(host_)
                     : server_.bind_to_port(host_, wanted_) ? wanted_
                                                            : -1;
    if (port <= 0) throw usage_error{fmt::format("cannot listen on {}:{}", host_, wanted_)};
    serving_ = std::thread{[this] { server_.listen_after_bind(); }};
    while (!server_.is_running()) std::this_thread::yield();  // stop() before that would be forgotten
    return port;
  }
  const std::string& host() const noexcept { return host_; }

 private:
  std::string host_ = "127.0.0.1";
  int wanted_ = 0;
  httplib::Server server_;
  std::thread serving_;
};

}  // namespace programs
