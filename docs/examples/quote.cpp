// SPDX-License-Identifier: MIT
// The sample of the README: asks for a quote, with retries, and prints it or the last error.
// clang-format off: laid out to be read on a first screen
#include <again/again.hpp>     // policies, retry, task, sync_wait
#include <again/format.hpp>    // fmt
#include <again/http.hpp>      // client over cpp-httplib
using namespace std::chrono_literals;

constexpr auto polite = again::checked({
    .attempts = 4,                                  // sends in all, the first included
    .backoff  = again::exponential(100ms, 2s),      // 100, 200, 400 ms ... at most 2 s
    .jitter   = again::jitter::full,                // anywhere between 0 and that
    .attempt_timeout = 1s,
    .deadline = 5s,                                 // for all of it
});                                                 // a nonsense policy does not compile

again::task<int> show_quote(again::http::client& api) {
  auto quote = co_await again::retry(polite, api.get("/quote/ACME"));
  if (!quote) {                                     // why it stopped, after how many sends, the last error
    fmt::print("gave up: {}\n", quote.error());
    co_return 1;
  }
  fmt::print("{}\n", quote->body);
  co_return 0;
}

int main() {
  again::http::client api{"http://127.0.0.1:8080"};
  return again::sync_wait(show_quote(api));
}
