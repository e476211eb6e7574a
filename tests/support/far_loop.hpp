// SPDX-License-Identifier: MIT
#pragma once

#include <again/coro/run_loop.hpp>

#include <thread>

namespace again_test {

/// A loop on a thread that it owns. The destructor waits until the loop has run everything.
class far_loop {
 public:
  far_loop() : thread_{[this] { loop.run(); }} {}
  far_loop(const far_loop&) = delete;
  far_loop& operator=(const far_loop&) = delete;
  ~far_loop() {
    loop.finish();
    thread_.join();
  }
  again::run_loop loop;

 private:
  std::thread thread_;
};

}  // namespace again_test
