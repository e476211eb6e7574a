// SPDX-License-Identifier: MIT
// A consumer of the HTTP client: compiles, links and runs with what its one dependency brings.
#include <again/again.hpp>
#include <again/http.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

constexpr auto brisk = again::checked({.attempts = 2, .backoff = again::constant(1ms)});

static again::task<int> run(again::http::client& api) {
  auto answer = co_await again::retry(brisk, api.get("/"));
  co_return answer ? -1 : answer.error().attempts();
}

int main() {
  again::http::client api{"http://127.0.0.1:1"};  // nobody listens there
  const int attempts = again::sync_wait(run(api));
  std::printf("refused, attempts: %d\n", attempts);
  return attempts == 2 ? 0 : 1;
}
