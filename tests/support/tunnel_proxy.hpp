// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace again_test {

/// An HTTP proxy on loopback that makes tunnels. Of each connection it reads the head of one request and sends what `reply` makes of
/// it. If that begins with "HTTP/1.1 2", it passes bytes on in both directions, between the client and the port of this machine
/// that the request named; else it closes the connection. An empty reply: it says nothing, and waits until the client leaves.
///
/// One thread for each connection; `reply` is called on it. All members may be called from any thread.
class tunnel_proxy {
 public:
  explicit tunnel_proxy(std::function<std::string(const std::string& head)> reply);
  ~tunnel_proxy();  ///< closes all connections
  tunnel_proxy(const tunnel_proxy&) = delete;
  tunnel_proxy& operator=(const tunnel_proxy&) = delete;

  std::string url() const;
  /// The requests, in the order in which they came, without the empty line.
  std::vector<std::string> heads() const;

 private:
  void accept_all();
  void serve(int client);
  bool wait(int fd, short events) const;
  void pass_on(int client, int server) const;

  std::function<std::string(const std::string&)> reply_;
  int listening_ = -1, port_ = 0;
  int stop_[2] = {-1, -1};
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
  std::list<std::thread> connections_;
  std::thread accepting_;
};

}  // namespace again_test
