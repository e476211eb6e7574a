// SPDX-License-Identifier: MIT
// `import again;` gives what a program needs: a task, a retry with a policy and members, a pipe, a failure, pretend time.
// PRINTS: value 7 after 3 sends
// PRINTS: attempts_exhausted after 3 attempts: not yet
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <string>

import again;

using namespace std::chrono_literals;

namespace {

constexpr auto patient = again::checked({.attempts = 3, .backoff = again::constant(10s)});

again::task<again::expected<int, std::string>> load(int& sends, int good) {
  ++sends;
  if (sends < good) co_return again::unexpected<std::string>{"not yet"};
  co_return 7;
}

again::task<int> run() {
  int sends = 0;
  const auto found = co_await again::retry(patient, [&] { return load(sends, 3); });
  std::printf("value %d after %d sends\n", found ? *found : -1, sends);

  sends = 0;
  auto hopeless = [&] { return load(sends, 100); };
  auto piped = hopeless | again::retry(patient).when([](const std::string&) { return true; }) | again::timeout(1h);
  const auto failed = co_await piped;
  if (failed) co_return 1;
  std::printf("%s after %d attempts: %s\n", std::string{again::name(failed.error().reason())}.c_str(),
              failed.error().attempts(), failed.error().error()->c_str());
  const bool slept = co_await again::sleep_for(1h);
  co_return slept ? 0 : 1;
}

}  // namespace

int main() {
  again::virtual_clock time;
  again::run_loop loop{time};
  return again::sync_wait(loop, run());
}
