// SPDX-License-Identifier: MIT
#include <again/webhook/replay_window.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace again;
using namespace again::webhook;
using namespace std::chrono_literals;

namespace {

constexpr wall_time noon{1614265200s};

}  // namespace

TEST_CASE("a message is the first one once") {
  replay_window window;
  CHECK(window.admit({"a", noon}, noon) == admission::first);
  CHECK(window.admit({"a", noon}, noon) == admission::repeated);
  CHECK(window.admit({"a", noon + 10s}, noon + 10s) == admission::repeated);  // a retry, signed again
  CHECK(window.admit({"b", noon}, noon) == admission::first);
}

TEST_CASE("an id is known for as long as a copy of its message would be verified, and not for longer") {
  replay_window window{5min};
  CHECK(window.admit({"early", noon - 5min}, noon) == admission::first);
  CHECK(window.admit({"late", noon + 5min}, noon) == admission::first);
  CHECK(window.admit({"early", noon - 5min}, noon + 999ms) == admission::repeated);
  CHECK(window.admit({"late", noon + 5min}, noon + 10min + 999ms) == admission::repeated);
  CHECK(window.size() == 1);
  CHECK(window.admit({"x", noon + 11min}, noon + 11min) == admission::first);
  CHECK(window.size() == 1);
}

TEST_CASE("a message that was not handled after all can be admitted again") {
  replay_window window;
  CHECK(window.admit({"a", noon}, noon) == admission::first);
  window.forget("a");
  window.forget("never seen");
  CHECK(window.size() == 0);
  CHECK(window.admit({"a", noon}, noon) == admission::first);
  window.forget("a");
  CHECK(window.admit({"b", noon}, noon) == admission::first);
  CHECK(window.admit({"c", noon + 1h}, noon + 1h) == admission::first);  // long after the end of both
  CHECK(window.size() == 1);
}

TEST_CASE("a full window admits nothing new until something is old, so that no replay slips in") {
  replay_window window{1min, 2};
  CHECK(window.admit({"a", noon}, noon) == admission::first);
  CHECK(window.admit({"b", noon + 30s}, noon + 30s) == admission::first);
  CHECK(window.admit({"c", noon + 30s}, noon + 30s) == admission::full);
  CHECK(window.admit({"a", noon}, noon + 30s) == admission::repeated);
  CHECK(window.admit({"c", noon + 62s}, noon + 62s) == admission::first);
  CHECK(window.size() == 2);
}

TEST_CASE("a thousand ids pass through without a trace") {
  replay_window window{1s, 100};
  for (int i = 0; i < 1000; ++i) {
    const wall_time now = noon + i * 100ms;
    CHECK(window.admit({"id-" + std::to_string(i), now}, now) == admission::first);
  }
  CHECK(window.size() <= 21);
}
