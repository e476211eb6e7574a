// SPDX-License-Identifier: MIT
// The sample of docs/delivery.md: events that survive this program. Nothing listens at the endpoint, so that they have to.
#include <again/again.hpp>
#include <again/format.hpp>
#include <again/journal.hpp>
#include <again/sink.hpp>
#include <again/sqlite.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>
using namespace std::chrono_literals;

// ── the first program: takes events in, and is ended before they are delivered ──

const again::endpoint orders{.url = *again::http::parse_url("http://127.0.0.1:9/orders"),
                             .name = "orders",
                             .policy = {.attempts = 1, .attempt_timeout = 1s, .deadline = 5s}};

again::task<int> take_in(again::sqlite::store& store) {
  again::sink to{{orders}};
  again::durable_sink kept{store, to, {.short_wait = 0s}};  // every wait goes to the store
  again::scope running{co_await again::get_context()};
  running.spawn(kept.run());

  std::vector<again::journal::new_event> events;
  events.emplace_back(again::event{"41", R"({"total": 3})"});
  events.emplace_back(again::event{"42", R"({"total": 5})"});
  auto stored = co_await kept.append(std::move(events));
  if (!stored) {  // nothing is acknowledged: the sentence says what to do
    fmt::print("{}: {}\n", name(stored.error().kind), stored.error().text);
    co_return 1;
  }
  fmt::print("acknowledged: {}\n", stored->stored);

  while (kept.put_off() < 2) {  // both wait for their next delivery
    const bool slept = co_await again::sleep_for(1ms);
    if (!slept) break;
  }
  co_await kept.close(1s);
  co_await running.join();
  co_await to.close(1s);
  co_return 0;
}

// ── the second one: finds them again ──

again::task<int> look(again::sqlite::store& store) {
  auto found = co_await store.find("42");
  if (!found || !*found) co_return 1;
  const again::journal::event_record& r = **found;
  fmt::print("42: {}, attempts {}, {}\n", name(r.state), r.result.progress.attempts, r.result.progress.last_error);
  co_return 0;
}

int main() {
  std::string folder = "/tmp/again-sample-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string path = folder + "/events.db";
  int problems = 0;
  {
    auto opened = again::sqlite::store::open(path);
    if (!opened) return 1;
    problems += again::sync_wait(take_in(*opened));
  }
  {
    auto opened = again::sqlite::store::open(path);
    if (!opened) return 1;
    fmt::print("unfinished: {}\n", opened->unfinished());
    problems += again::sync_wait(look(*opened));
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return problems;
}
