// SPDX-License-Identifier: MIT
/// \file
/// `own_loop`: an io_context and the one thread that runs it, for a transport without a loop of the caller's.
#pragma once

#include <again/beast/detail/library.hpp>

#include <thread>

#include <pthread.h>
#include <signal.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// The thread blocks all signals: they are for the threads of the program. The destructor waits until it has ended, which it does when
/// nothing is left to do; it is not called on that thread, because no code of the program runs there but bodies.
class own_loop {
 public:
  own_loop() : at_work_{context_.get_executor()} {
    ::sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread{[this] { context_.run(); }};
    } catch (...) {
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  own_loop(const own_loop&) = delete;
  own_loop& operator=(const own_loop&) = delete;
  ~own_loop() {
    at_work_.reset();
    thread_.join();
  }

  net::any_io_executor executor() { return context_.get_executor(); }

 private:
  net::io_context context_{1};
  net::executor_work_guard<net::io_context::executor_type> at_work_;
  std::thread thread_;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
