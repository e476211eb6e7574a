// SPDX-License-Identifier: MIT
/// \file
/// `condition_variable`, `thread` and `yield_thread`, as far as a loop needs them.
///
/// On Linux with libstdc++ they stand directly on pthreads. The standard's <condition_variable> and <thread> would
/// include shared pointers, stop tokens and semaphores in every file, a tenth of the compile time of the whole library.
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
  /// Waits until `done()`, at most for `most` on the steady clock. Returns `done()`.
  template <class Done> bool wait_for(std::unique_lock<std::mutex>& lock, duration most, Done done) {
    const time_point until = saturating_add(std::chrono::steady_clock::now(), most);
    while (!done()) {
      if (!wait_until(lock, until)) return done();
    }
    return true;
  }

 private:
  // False: `until` has passed.
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

/// Runs `body(with)` on a new thread. It must be joined before it is destroyed.
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
