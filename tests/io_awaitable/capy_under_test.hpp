// SPDX-License-Identifier: MIT
/// \file
/// capy: the look-alike, or the real one if `-Dcapy=PATH` names where it is installed.
#pragma once

#if defined(AGAIN_TEST_CAPY)
#include <boost/capy/ex/run_async.hpp>
#include <boost/capy/ex/thread_pool.hpp>
#include <boost/capy/task.hpp>
#else
#include "support/capy_lookalike.hpp"
#endif

#include <doctest/doctest.h>

#include <exception>
#include <future>
#include <stop_token>
#include <utility>

namespace again_test {

namespace capy = boost::capy;

/// A pool of one thread, on which a task runs while the test waits.
struct capy_pool {
  capy::thread_pool pool{1};
  template <class T> T run(capy::task<T> what, std::stop_token token = {}) {
    std::promise<T> result;
    capy::run_async(
        pool.get_executor(), std::move(token), [&](T value) { result.set_value(std::move(value)); },
        [&](std::exception_ptr error) { result.set_exception(std::move(error)); })(std::move(what));
    return result.get_future().get();
  }
};

}  // namespace again_test
