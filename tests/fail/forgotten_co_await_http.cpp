// SPDX-License-Identifier: MIT
// EXPECT: again: this has not been awaited yet: write co_await before it (outside of a coroutine: again::sync_wait)
#include <again/coro/task.hpp>
#include <again/http/client.hpp>

struct wire {
  again::task<again::http::send_result> send(std::shared_ptr<const again::http::outgoing>, int);
};
int status_of(again::http::client_over<wire>& api) {
  auto quote = api.get("/quote/ACME");
  if (!quote) return 0;
  return 200;
}
