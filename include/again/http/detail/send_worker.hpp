// SPDX-License-Identifier: MIT
/// \file
/// `send_worker`: a thread of a pool, and the place where it sleeps until it is told what to do.
#pragma once

#include <again/clock.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace again::inline AGAIN_ABI::http::detail {

class send_job;

/// Each has a place of its own to sleep, so that a job wakes just one, and nobody wakes into a lock that is held.
struct send_worker {
  void tell(send_job* j) {
    {
      const std::lock_guard lock{mutex};
      job = j;
      told = true;
    }
    wake.notify_one();
  }
  /// False if nobody said anything in that time.
  bool wait(duration at_most, send_job*& into) {
    std::unique_lock lock{mutex};
    const auto heard = [this] { return told; };
    if (at_most < forever) {
      if (!wake.wait_for(lock, at_most, heard)) return false;
    } else {
      wake.wait(lock, heard);
    }
    told = false;
    into = job;
    return true;
  }
  std::thread thread;
  send_worker* next_idle = nullptr;  // under the pool's lock
  // The worker's own.
  send_job* next = nullptr;
  bool over = false;
  duration patience = forever;

 private:
  std::mutex mutex;
  std::condition_variable wake;
  send_job* job = nullptr;
  bool told = false;
};

}  // namespace again::inline AGAIN_ABI::http::detail
