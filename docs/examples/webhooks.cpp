// SPDX-License-Identifier: MIT
// The samples of docs/webhooks.md: a sender and a receiver in one program. The waits of the schedule pass in pretend time.
#include <again/again.hpp>
#include <again/cloudevents.hpp>
#include <again/format.hpp>
#include <again/http.hpp>
#include <again/policy/explain.hpp>
#include <again/webhook.hpp>

#include <httplib.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

namespace ce = again::cloudevents;
namespace webhook = again::webhook;

// ── the sender ──

again::task<> send_hook(const again::http::client& receiver, const webhook::signing_keys& keys, std::string id,
                        again::http::request hook) {
  auto op = receiver.send(webhook::signed_with(keys, id, std::move(hook)));
  auto sent = co_await again::retry(webhook::standard_policy, op);
  if (sent) {
    fmt::print("{}: {}\n", id, sent->status);
    co_return;
  }
  const again::http::error* last = sent.error().error();
  switch (webhook::meaning(last ? last->status() : 0)) {
    case webhook::response_meaning::gone: fmt::print("{}: disable this endpoint\n", id); break;
    case webhook::response_meaning::throttled: fmt::print("{}: send less to this endpoint\n", id); break;
    default: fmt::print("{}: gave up: {}\n", id, sent.error());
  }
}

ce::event order_made() {
  return ce::event{"7-made", "/orders", "com.example.order.made"}
      .time("2026-11-30T12:00:00Z")
      .extension("partitionkey", "7")
      .data(R"({"order": 7, "total": 12.50})", "application/json");
}

// ── the receiver ──

class receiver {
 public:
  receiver(webhook::verifying_key key, const again::clock& time) : key_{std::move(key)}, time_{time} {}

  /// The status of the response to a webhook.
  int receive(const again::http::headers& fields, std::string_view body) {
    const std::lock_guard lock{mutex_};  // the server calls from several threads
    const auto message = webhook::verify(key_, fields, body, time_.wall_now());
    if (!message) {
      fmt::print("  refused: {}\n", name(message.error()));
      return 400;
    }
    switch (window_.admit(*message, time_.wall_now())) {
      case webhook::admission::repeated: return 200;  // it was handled; our response was lost
      case webhook::admission::full: return 503;
      case webhook::admission::first: break;
    }
    if (!handle(body)) {
      window_.forget(message->id);
      return 503;  // it comes again
    }
    return 204;
  }

 private:
  bool handle(std::string_view body) {
    fmt::print("  received {}\n", body);
    return ++handled_ != 1;  // the database is away at first
  }

  std::mutex mutex_;
  webhook::verifying_key key_;
  const again::clock& time_;
  webhook::replay_window window_;
  int handled_ = 0;
};

// ── the permission ──

again::task<bool> may_send(const again::http::client& receiver) {
  const ce::permission_question question{"events.example.com", 120};
  auto permission = co_await ce::ask_permission(receiver, "/hook", question);
  if (!permission || !permission->granted) co_return false;
  fmt::print("allowed: {} requests a minute\n", permission->per_minute.value_or(0));
  co_return true;
}

again::task<> run(const again::http::client& to, const webhook::signing_keys& keys) {
  const bool may = co_await may_send(to);
  if (!may) co_return;

  auto hook = ce::binary_request(order_made(), "/hook");  // expected<http::request, http::invalid>
  if (!hook) co_return;
  co_await send_hook(to, keys, "order-7-made", *hook);

  auto structured = ce::structured_request(order_made(), "/hook");
  if (!structured) co_return;
  co_await send_hook(to, keys, "order-7-made", *structured);  // the same id: nothing happens twice

  const webhook::signing_keys other = webhook::secret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").value();
  auto once = again::retry({.attempts = 1}, to.send(webhook::signed_with(other, "order-8-made", *hook)));
  auto refused = co_await once;
  if (!refused) fmt::print("order-8-made: {}\n", refused.error().error()->text());
}

void filters() {
  auto orders = ce::filter::prefix("type", "com.example.order.");
  auto wanted = ce::filter::parse("not:exact:partitionkey=7");
  fmt::print("{} {}\n", orders.matches(order_made()), wanted && wanted->matches(order_made()));
}

}  // namespace

int main() {
  ::setenv("ORDERS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
           1);  // elsewhere a file or your service manager does it
  auto keys = webhook::signing_keys::from_environment("ORDERS_SECRET");
  if (!keys) {
    fmt::print("{}\n", keys.error().text());
    return 2;
  }
  fmt::print("{}", again::explain(webhook::standard_policy));

  again::virtual_clock time{again::wall_time{std::chrono::seconds{1'796'040'000}}};
  receiver here{keys->secrets()[0], time};
  httplib::Server server;
  server.Options("/hook", [](const httplib::Request& r, httplib::Response& response) {
    response.set_header("WebHook-Allowed-Origin", r.get_header_value("WebHook-Request-Origin"));
    response.set_header("WebHook-Allowed-Rate", "60");
  });
  server.Post("/hook", [&here](const httplib::Request& r, httplib::Response& response) {
    again::http::headers fields;
    for (const auto& [name, value] : r.headers) fields.add(name, value);
    response.status = here.receive(fields, r.body);
  });
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread serving{[&server] { server.listen_after_bind(); }};

  again::run_loop loop{time, 1};
  const again::http::client to{fmt::format("http://127.0.0.1:{}", port), {.rules = webhook::standard_rules}};
  again::sync_wait(loop, run(to, *keys));
  server.stop();
  serving.join();
  filters();
}
