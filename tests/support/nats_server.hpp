// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

namespace again_test {

/// A nats-server with JetStream for tests: one process on a free port of loopback, its data in a directory that goes with it.
/// Throws std::runtime_error with the server's own words where it does not start. Not for use by several threads at a time.
class nats_server {
 public:
  /// `settings`: what stands in its file of settings besides.
  explicit nats_server(const std::string& settings = {});
  ~nats_server();
  nats_server(const nats_server&) = delete;
  nats_server& operator=(const nats_server&) = delete;

  /// Whether there is such a program.
  static bool installed();

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string log() const;
  void start();
  void kill();   ///< at once
  void pause();  ///< it takes connections and does nothing more, as a hanging machine
  void resume();

 private:
  std::filesystem::path folder_;
  int port_ = 0;
  pid_t process_ = -1;
};

}  // namespace again_test
