// SPDX-License-Identifier: MIT
// SIGINT and SIGTERM as function calls on a thread of their own, where everything is allowed that a signal handler must not do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace programs {

/// From now on the two signals wait until somebody asks for them: in this thread and in those it starts.
inline sigset_t hold_interrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

/// The first signal calls `first`; a second one, or the end of the grace period, calls `last`. Call `hold_interrupts` before
/// any other thread starts.
class interrupts {
 public:
  interrupts(std::chrono::milliseconds grace, std::function<void()> first, std::function<void()> last)
      : grace_{grace}, first_{std::move(first)}, last_{std::move(last)} {
    const sigset_t set = hold_interrupts();
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
    over_ = ::eventfd(0, EFD_CLOEXEC);
    watch_ = std::thread{[this] { watch(); }};
  }
  interrupts(const interrupts&) = delete;
  interrupts& operator=(const interrupts&) = delete;
  ~interrupts() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto told = ::write(over_, &one, sizeof one);
    watch_.join();
    ::close(signals_);
    ::close(over_);
  }

 private:
  enum class woken { signal, time_up, over };

  woken wait(int milliseconds) const {
    pollfd both[2] = {{over_, POLLIN, 0}, {signals_, POLLIN, 0}};
    const int n = ::poll(both, 2, milliseconds);
    if (both[0].revents != 0) return woken::over;
    if (n == 0) return woken::time_up;
    signalfd_siginfo info{};
    [[maybe_unused]] const auto got = ::read(signals_, &info, sizeof info);
    return woken::signal;
  }
  void watch() const {
    if (wait(-1) == woken::over) return;
    first_();
    if (wait(static_cast<int>(grace_.count())) == woken::over) return;
    last_();
  }

  std::chrono::milliseconds grace_;
  std::function<void()> first_, last_;
  int signals_ = -1, over_ = -1;
  std::thread watch_;
};

}  // namespace programs
