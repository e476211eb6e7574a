// SPDX-License-Identifier: MIT
#include <again/sink/delivery_observer.hpp>

#include "sink/pretend_sink.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again_test;

TEST_CASE("the observer is told of every attempt with its endpoint, and of every result once") {
  struct listener : delivery_observer {
    std::vector<std::string> heard;
    void attempted(const event& e, std::string_view where, const attempt_record& r) override {
      heard.push_back(e.id + " " + std::string{where} + " " + std::to_string(r.attempt) + (r.last ? " last" : ""));
    }
    void finished(const delivery& d) override { heard.push_back(d.event.id + (d ? " ok" : " failed")); }
  } ears;
  pretend_sink b{[](const pretend_transport::request& r) {
                   return r.origin == "a" ? breaks(error_kind::reset, reach::maybe_sent) : response(200);
                 },
                 {at("a"), at("b")},
                 {.observer = &ears}};
  b.deliver({event{"e"}});
  CHECK(ears.heard == std::vector<std::string>{"e a 1", "e b 2 last", "e ok"});
}
