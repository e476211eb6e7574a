// SPDX-License-Identifier: MIT
/// \file
/// Pretend time that counts how often it is read.
#pragma once

#include <again/core/clock.hpp>

namespace again_test {

class counting_clock final : public again::clock {
 public:
  again::time_point now() const noexcept override {
    ++reads_;
    return now_;
  }
  bool jump(again::time_point next) noexcept override {
    if (next != again::never) now_ = next;
    return true;
  }
  long reads() const noexcept { return reads_; }

 private:
  mutable long reads_ = 0;
  again::time_point now_{std::chrono::hours{1}};
};

}  // namespace again_test
