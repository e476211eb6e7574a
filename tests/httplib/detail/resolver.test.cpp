// SPDX-License-Identifier: MIT
#include <again/httplib/detail/resolver.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

using again::http::detail::cancel_switch;
using again::http::detail::resolved;
using again::http::detail::resolver;
using namespace std::chrono_literals;

TEST_CASE("a look-up that hangs does not starve the next one, where a thread may still be had") {
  // Whether the idle thread has woken up for the first before the second is asked for is chance: both ways must do.
  for (int i = 0; i < 20; ++i) {
    std::mutex mutex;
    std::condition_variable changed;
    bool let_go = false;
    {
      resolver names{[&](const std::string& host) {
                       std::unique_lock lock{mutex};
                       if (host == "hangs") changed.wait(lock, [&] { return let_go; });
                       return resolved{{"127.0.0.1"}, {}};
                     },
                     2};
      cancel_switch stop;
      const auto patience = std::chrono::steady_clock::now() + 20s;
      REQUIRE(names.resolve("first", patience, stop).addresses.size() ==
              1);  // now a thread is idle, or will be in a moment
      std::this_thread::sleep_for(1ms);
      CHECK(names.resolve("hangs", {}, stop).addresses.empty());
      CHECK(names.resolve("works", patience, stop).addresses.size() == 1);
      {
        const std::lock_guard lock{mutex};
        let_go = true;
      }
      changed.notify_all();
      CHECK(names.resolve("hangs", patience, stop).addresses.size() == 1);  // nothing here outlives what it refers to
    }
  }
}

TEST_CASE("a number is its own address, raised switch or not") {
  resolver names{[](const std::string&) { return resolved{}; }, 1};
  cancel_switch stop;
  static_cast<void>(stop.raise(cancel_switch::by::awaiter));
  CHECK(names.resolve("127.0.0.1", {}, stop).addresses.size() == 1);
  CHECK(names.resolve("::1", {}, stop).addresses.size() == 1);
}
