// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace again_test {

/// An nginx for tests: one process on free ports of loopback, its files in a directory that goes with it, and a log of every
/// request it answered. Plain HTTP, TLS 1.2 alone and TLS 1.3 alone, all with the same locations.
/// Throws std::runtime_error with nginx's own words where it does not start. Not for use by several threads at a time.
class nginx {
 public:
  /// `program`: its path. `http`: what stands in the http block besides the servers; `server`: what stands in each server.
  nginx(std::string program, const std::string& http, const std::string& server);
  ~nginx();
  nginx(const nginx&) = delete;
  nginx& operator=(const nginx&) = delete;

  std::string url() const;
  std::string tls_1_2_url() const;
  std::string tls_1_3_url() const;
  const std::filesystem::path& folder() const noexcept { return folder_; }

  void start();
  void kill();  ///< at once, connections and all
  void quit();  ///< when what it is at is done; then the log is complete

  /// Waits until no connection to it is open any more in both directions: what was kept, it has closed. False: not in time.
  bool wait_until_all_closed() const;

  /// One line per request: "POST /orders 200", in the order in which they ended. Complete after `quit`.
  std::vector<std::string> log() const;
  std::size_t logged(std::string_view line) const;

 private:
  void end(int signal);

  std::string program_;
  std::filesystem::path folder_;
  int ports_[3] = {};
  pid_t process_ = -1;
};

}  // namespace again_test
