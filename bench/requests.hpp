// SPDX-License-Identifier: MIT
/// \file
/// What the topics share that send requests, whatever server they send them to.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "harness.hpp"

namespace bench {

/// Where a GET goes, and how many bytes of body come back.
struct target {
  int port = 0;  ///< of 127.0.0.1
  std::string path;
  std::size_t body = 0;

  [[nodiscard]] std::string origin() const { return "http://127.0.0.1:" + std::to_string(port); }
};

[[noreturn]] inline void lost() {
  std::fprintf(stderr, "bench: a request failed\n");
  std::abort();
}

// The share of the requests that one of `among` makes.
inline std::size_t part(std::size_t n, std::size_t among, std::size_t which) { return n / among + (which < n % among); }

/// Wall time for the throughput, and the client's CPU time beside it, of `(*f)(n)`.
template <class F> auto timed_requests(std::shared_ptr<F> f) {
  return [f](std::size_t n, std::map<std::string, double>& own) {
    const double cpu = process_seconds();
    const double start = wall_seconds();
    (*f)(n);
    const double took = wall_seconds() - start;
    own["ns"] = 1e9 * took / static_cast<double>(n);
    own["cpu_us"] = 1e6 * (process_seconds() - cpu) / static_cast<double>(n);
    own["krps"] = 1e-3 * static_cast<double>(n) / took;
  };
}

}  // namespace bench
