// SPDX-License-Identifier: MIT
#include <again/journal/endpoint_store.hpp>

#include <again/journal/memory_store.hpp>

#include "journal/endpoint_contract.hpp"
#include "sink/pretend_sink.hpp"

#include <doctest/doctest.h>

using namespace again;
using namespace again_test;

TEST_CASE("the store in memory keeps the states of endpoints, and lets go the events that wait for one") {
  virtual_clock time;
  run_loop loop{time, 1};
  journal::memory_store store;
  store_under_test<journal::memory_store> t{store, loop, time};
  keeps_endpoints(t);
}
