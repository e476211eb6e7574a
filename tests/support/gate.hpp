// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace again_test {

enum class family;

/// The listening side of the misbehaving server. The port is taken once and kept while it does not listen. One thread at a time.
class gate {
 public:
  enum class state {
    open,    // connections are accepted
    closed,  // refused
    dropping,  // SYNs vanish: a packet filter on the listening socket eats them, or where that is not allowed, a full backlog
  };

  gate(family kind, int port, std::string unix_path);
  ~gate();
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;

  int port() const noexcept { return port_; }
  void set(state wanted);                              ///< throws std::system_error
  int listener() const noexcept { return listener_; }  ///< to poll, -1 while closed
  int accept() noexcept;                               ///< non-blocking socket or -1 with errno

  /// Counting refused attempts: begin before closing.
  void watch_refusals();
  void unwatch_refusals() noexcept;
  int watch() const noexcept { return watch_; }  ///< to poll; -1: has to be asked every few milliseconds
  std::size_t refused();                         ///< since the last call

  /// Local ports of clients whose SYN to this gate is without a response now.
  std::vector<std::uint16_t> waiting_clients() const;
  /// These clients' SYNs go on being dropped in the state open, however often they are sent again. Without a packet filter
  /// a client that tries for more than a second gets in and is reset.
  void drop(std::vector<std::uint16_t> clients);
  const std::vector<std::uint16_t>& dropped() const noexcept { return dropped_; }

 private:
  int bound_socket();
  void filter();
  void crowd();
  void uncrowd() noexcept;
  long failed_connects() const;

  family kind_;
  int port_ = 0;
  std::string unix_path_;
  int holder_ = -1;  // bound, never listens: keeps the port
  int listener_ = -1;
  int filler_ = -1;  // our own connection that fills the backlog
  std::uint16_t last_filler_ = 0;
  bool filters_ = true;  // until the kernel says that we may not
  int watch_ = -1;
  bool watching_ = false;
  long failed_before_ = 0;
  state state_ = state::closed;
  std::vector<std::uint16_t> dropped_;
};

}  // namespace again_test
