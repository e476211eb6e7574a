// SPDX-License-Identifier: MIT
/// \file
/// Functions as nodes of a scheduler.
#pragma once

#include <again/coro/scheduler.hpp>

#include <functional>
#include <utility>

namespace again_test {

struct call : again::work {
  std::function<void()> what;
  explicit call(std::function<void()> f) : what{std::move(f)} {
    run = [](again::work& w) noexcept { static_cast<call&>(w).what(); };
  }
};

struct ring : again::timer {
  std::function<void()> what;
  explicit ring(std::function<void()> f) : what{std::move(f)} {
    fire = [](again::timer& t) noexcept { static_cast<ring&>(t).what(); };
  }
};

}  // namespace again_test
