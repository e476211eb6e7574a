// SPDX-License-Identifier: MIT
/// \file
/// The loop for coroutines that have none: started on first use, on a thread of its own, ended with the process.
#pragma once

#include <again/run_loop.hpp>

#include <thread>

namespace again::inline AGAIN_ABI::detail {

inline run_loop& default_loop() {
  struct background {
    run_loop loop;
    std::thread thread{[this] { loop.run(); }};
    background() = default;
    background(const background&) = delete;
    background& operator=(const background&) = delete;
    ~background() {
      loop.finish();
      thread.join();
    }
  };
  static background instance;
  return instance.loop;
}

}  // namespace again::inline AGAIN_ABI::detail
