// SPDX-License-Identifier: MIT
#include <again/httplib/detail/descriptor_wait.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using again::reach;
using again::http::detail::cancel_switch;
using again::http::detail::descriptor_wait;
using by = cancel_switch::by;

TEST_CASE("an idle connection is closed before anything is waited for") {
  int idle = 2;
  descriptor_wait w{[&] { return idle > 0 && idle-- > 0; }};
  w.attempt_begins();
  cancel_switch stop;
  CHECK(w.free_one(stop, w.ended()));
  CHECK(w.free_one(stop, w.ended()));
  CHECK(idle == 0);
  CHECK(!w.free_one(stop, w.ended()));  // and nobody else runs
}

TEST_CASE("an attempt that ends, and a stop, wake the one that waits") {
  for (const bool stopped : {false, true}) {
    CAPTURE(stopped);
    std::atomic<int> asked = 0;
    descriptor_wait w{[&] {
      ++asked;
      asked.notify_all();
      return false;
    }};
    w.attempt_begins();
    w.attempt_begins();
    cancel_switch stop;
    bool worth_it = false;
    std::thread waiting{[&] { worth_it = w.free_one(stop, w.ended()); }};
    asked.wait(0);  // whether it sleeps already or not
    if (stopped) {
      CHECK(stop.raise(by::awaiter).far == reach::not_sent);
    } else {
      w.attempt_ended();
    }
    waiting.join();
    CHECK(worth_it);
    if (stopped) CHECK(w.free_one(stop, w.ended()));  // the next try finds out
  }
}

TEST_CASE("what has ended since the last try is not waited for, and no idle connection is closed for it") {
  descriptor_wait w{[] {
    FAIL("not asked");
    return true;
  }};
  w.attempt_begins();
  w.attempt_begins();
  const auto before = w.ended();
  w.attempt_ended();
  cancel_switch stop;
  CHECK(w.free_one(stop, before));
}

TEST_CASE("one that has been woken waits no more, whether it is awake already or not") {
  for (int i = 0; i < 500; ++i) {
    std::atomic<int> asked = 0, go = 0;
    descriptor_wait w{[&] {
      ++asked;
      asked.notify_all();
      return false;
    }};
    for (int attempts = 0; attempts < 3; ++attempts) w.attempt_begins();
    bool first = false;
    std::thread woken{[&] {
      cancel_switch stop;
      first = w.free_one(stop, 0);
      go.wait(0);
      w.attempt_ended();
    }};
    asked.wait(0);
    w.attempt_ended();
    const auto before = w.ended();
    go = 1;
    go.notify_all();
    cancel_switch stop;
    CHECK(w.free_one(stop, before));  // the other one has a descriptor now, and ends
    woken.join();
    CHECK(first);
  }
}

TEST_CASE("of attempts that all wait the last one gives up, and its end wakes the others") {
  descriptor_wait w{[] { return false; }};
  constexpr int all = 4;
  for (int i = 0; i < all; ++i) w.attempt_begins();
  std::atomic<int> given_up = 0;
  std::thread threads[all];
  for (auto& t : threads) {
    t = std::thread{[&] {
      cancel_switch stop;
      while (w.free_one(stop, w.ended())) {}
      ++given_up;
      w.attempt_ended();
    }};
  }
  for (auto& t : threads) t.join();
  CHECK(given_up == all);
}
