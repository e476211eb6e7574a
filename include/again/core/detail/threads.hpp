// SPDX-License-Identifier: MIT
/// \file
/// `std::condition_variable`, `std::thread` and `std::this_thread::yield` as far as a loop needs them.
///
/// With libstdc++ on Linux they are what those are made of: its <condition_variable> and <thread> bring shared pointers, stop
/// tokens and semaphores into every file, for a tenth of what all of the library takes to compile.
#pragma once

#include <again/core/clock.hpp>

#include <mutex>

#if defined(__linux__) && defined(_GLIBCXX_HAS_GTHREADS)
#include <cerrno>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <system_error>
#else
#include <condition_variable>
#include <thread>
#endif

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

#if defined(__linux__) && defined(_GLIBCXX_HAS_GTHREADS)

class condition_variable {
 public:
  condition_variable() noexcept {
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&cond_, &steady);
    pthread_condattr_destroy(&steady);
  }
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;
  ~condition_variable() { pthread_cond_destroy(&cond_); }

  void notify_one() noexcept { pthread_cond_signal(&cond_); }
  void notify_all() noexcept { pthread_cond_broadcast(&cond_); }
  void wait(std::unique_lock<std::mutex>& lock) noexcept { pthread_cond_wait(&cond_, lock.mutex()->native_handle()); }
  template <class Done> void wait(std::unique_lock<std::mutex>& lock, Done done) {
    while (!done()) wait(lock);
  }
  /// Until `done()`, but no longer than `most` on the steady clock. True: it is done.
  template <class Done> bool wait_for(std::unique_lock<std::mutex>& lock, duration most, Done done) {
    const time_point until = saturating_add(std::chrono::steady_clock::now(), most);
    while (!done()) {
      if (!wait_until(lock, until)) return done();
    }
    return true;
  }

 private:
  // False: it is past `until`.
  bool wait_until(std::unique_lock<std::mutex>& lock, time_point until) noexcept {
    constexpr duration::rep second = std::nano::den;
    const duration::rep ns = until.time_since_epoch().count();  // libstdc++'s steady clock is CLOCK_MONOTONIC
    ::timespec at{};
    at.tv_sec = static_cast<std::time_t>(ns / second);
    at.tv_nsec = static_cast<long>(ns % second);
    return pthread_cond_timedwait(&cond_, lock.mutex()->native_handle(), &at) != ETIMEDOUT;
  }
  pthread_cond_t cond_;
};

/// Runs `body(with)` on a thread of its own. Joined before it goes away.
class thread {
 public:
  thread(void (*body)(void*) noexcept, void* with) : body_{body}, with_{with} {
    const auto run = [](void* self) -> void* {
      const thread& mine = *static_cast<thread*>(self);
      mine.body_(mine.with_);
      return nullptr;
    };
    if (const int error = pthread_create(&id_, nullptr, run, this); error != 0)
      throw std::system_error{error, std::generic_category()};
  }
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  ~thread() = default;
  void join() noexcept { pthread_join(id_, nullptr); }

 private:
  void (*body_)(void*) noexcept;
  void* with_;
  pthread_t id_{};
};

inline void yield_thread() noexcept { ::sched_yield(); }

#else

using condition_variable = std::condition_variable;

using thread = std::thread;

inline void yield_thread() noexcept { std::this_thread::yield(); }

#endif

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
