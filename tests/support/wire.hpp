// SPDX-License-Identifier: MIT
#pragma once

#include <openssl/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace again_test {

/// One accepted connection of the misbehaving server, plain or TLS. Every wait also ends when `stop_fd` becomes readable.
class wire {
 public:
  enum class outcome { done, ended, failed, timed_out, stopped };
  using clock = std::chrono::steady_clock;
  using limit = std::optional<clock::time_point>;

  wire(int fd, int stop_fd) noexcept : fd_(fd), stop_fd_(stop_fd) {}  ///< fd non-blocking; stays the caller's to close
  ~wire();
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  outcome handshake(SSL_CTX* context);
  std::string server_name() const;                    ///< that the client asked for in its handshake; empty: none
  bool resumed() const;                               ///< the session of an earlier connection goes on
  outcome read(std::string& into, limit until = {});  ///< appends what there is
  outcome write(std::string_view bytes);
  outcome silence(std::chrono::milliseconds time);  ///< 0: no end; a peer that ends its side ends it (`ended`)
  void byte_by_byte(std::chrono::milliseconds interval) noexcept {
    single_ = true;
    interval_ = interval;
  }
  void as_usual() noexcept { single_ = false; }
  void end_writing(bool close_notify) noexcept;   ///< FIN
  void drain(std::chrono::milliseconds at_most);  ///< throws bytes away until the peer ends its side too
  void reset_on_close() noexcept;                 ///< RST instead of FIN
  void shrink_window() noexcept;

 private:
  outcome wait(short events, limit until);
  outcome after_tls(int result, limit until);

  int fd_;
  int stop_fd_;
  SSL* ssl_ = nullptr;
  bool single_ = false;
  std::chrono::milliseconds interval_{0};
};

}  // namespace again_test
