// SPDX-License-Identifier: MIT
// SIGINT, SIGTERM and SIGHUP as function calls on a separate thread, which may do what a signal handler must not.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace programs {

/// SIGINT, SIGTERM, and SIGHUP unless it is ignored, as `nohup` has it.
inline sigset_t interrupt_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup{};
  if (::sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  return set;
}
/// Blocks them in this thread and in the threads it starts.
inline void block_interrupts() {
  const sigset_t set = interrupt_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// The first signal calls `first`. The second signal or the end of the grace period calls `last`. One more signal kills the program,
/// even in a write that blocks. Call `block_interrupts` before any other thread starts.
class interrupts {
 public:
  interrupts(std::chrono::milliseconds grace, std::function<void()> first, std::function<void()> last)
      : grace_{grace}, first_{std::move(first)}, last_{std::move(last)} {
    block_interrupts();
    const sigset_t set = interrupt_signals();
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
    over_ = ::eventfd(0, EFD_CLOEXEC);
    if (signals_ < 0 || over_ < 0) throw std::system_error{errno, std::generic_category(), "signalfd"};
    watch_ = std::thread{[this] { watch(); }};
  }
  interrupts(const interrupts&) = delete;
  interrupts& operator=(const interrupts&) = delete;
  ~interrupts() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(over_, &one, sizeof one);
    watch_.join();
    ::close(signals_);
    ::close(over_);
  }

 private:
  enum class woken { signal, time_up, over };

  woken wait(std::chrono::milliseconds at_most) const {
    const auto until = std::chrono::steady_clock::now() + at_most;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd both[2] = {{over_, POLLIN, 0}, {signals_, POLLIN, 0}};
      const int n =
          ::poll(both, 2, at_most < at_most.zero() ? -1 : static_cast<int>(std::max(left, left.zero()).count()));
      if (n < 0) continue;  // interrupted by another signal
      if (both[0].revents != 0) return woken::over;
      if (n == 0) return woken::time_up;
      signalfd_siginfo info{};
      if (::read(signals_, &info, sizeof info) == sizeof info) return woken::signal;
    }
  }
  void watch() const {
    constexpr std::chrono::milliseconds ever{-1};
    if (wait(ever) == woken::over) return;
    first_();
    if (wait(grace_) == woken::over) return;
    last_();
    const sigset_t set = interrupt_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    pollfd over{over_, POLLIN, 0};
    while (::poll(&over, 1, -1) < 0) {}
  }

  std::chrono::milliseconds grace_;
  std::function<void()> first_, last_;
  int signals_ = -1, over_ = -1;
  std::thread watch_;
};

}  // namespace programs
