// SPDX-License-Identifier: MIT
// send METHOD URL: one request through retry, one JSON object on stdout.
#include "body_file.hpp"
#include "outcome.hpp"
#include "retry_options.hpp"

#include <again/again.hpp>
#include <again/format.hpp>
#include <again/http/client.hpp>

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace programs;
namespace http = again::http;

struct settings {
  retry_options how;
  std::string method, url;
  std::optional<std::string> body;
  std::optional<body_file> file;
  bool one_shot_body = false;
  bool idempotent = false;
  std::optional<std::string> key;
  http::status_set accept;
  bool follow_redirects = false;
  std::optional<std::string> warm_up;
  int repeat = 1;
  std::optional<again::duration> cancel_after;
};

settings settings_of(int argc, char** argv) {
  settings s;
  options o{"send", "METHOD URL [options]\n\nSends one request, retries it where that is safe and useful, and prints "
                    "one JSON object."};
  s.how.add_to(o);
  o.with("--body", "TEXT", "the body", [&s](std::string_view v) { s.body = v; });
  std::optional<std::string> body_path;
  o.with("--body-file", "FILE", "a file that holds the body, read again for each attempt",
         [&body_path](std::string_view v) { body_path = v; });
  o.on("--one-shot-body", "the body can be read only once: no retry after it was sent", s.one_shot_body);
  o.on("--idempotent", "state that a repetition is harmless", s.idempotent);
  o.with("--idempotency-key", "auto|VALUE", "one Idempotency-Key for all attempts",
         [&s](std::string_view v) { s.key = v; });
  o.with("--accept", "LIST", "further statuses that are a success, such as 404,410",
         [&s](std::string_view v) { s.accept = taken(http::parse_status_set(v)); });
  o.on("--follow-redirects", "follow at most 10 redirects", s.follow_redirects);
  o.with("--warm-up", "PATH", "send a GET first, on the same connection, without a result line",
         [&s](std::string_view v) { s.warm_up = v; });
  o.with("--repeat", "N", "make N calls with one client, one JSON line each",
         [&s](std::string_view v) { s.repeat = number_in(v, 1, 1'000'000); });
  o.with("--cancel-after", "D", "stop the call after this long",
         [&s](std::string_view v) { s.cancel_after = duration_of(v); });
  std::vector<std::string> words = o.parse(argc, argv);
  if (words.size() != 2)
    throw usage_error{"needs a method and a URL: send GET http://127.0.0.1:8080/; send --help lists the options"};
  if (s.warm_up && !s.warm_up->starts_with('/'))
    throw usage_error{fmt::format("--warm-up: '{}' is no path; write it like /{}", *s.warm_up, *s.warm_up)};
  if (s.body && body_path) throw usage_error{"--body and --body-file exclude each other: give one of them"};
  if (words[1].find("://") == std::string::npos) {
    throw usage_error{fmt::format("URL: '{0}' has no scheme; write it like http://{0}", shown_url(words[1]))};
  }
  if (body_path) {
    try {
      s.file.emplace(*body_path, s.one_shot_body);
    } catch (const usage_error& e) { throw usage_error{fmt::format("--body-file: {}", e.what())}; }
    if (!s.file->replayable() && s.repeat > 1)
      throw usage_error{fmt::format("--repeat: {} can be read only once", *body_path)};
  }
  s.method = std::move(words[0]);
  s.url = std::move(words[1]);
  s.how.finish();
  return s;
}

/// Why the request cannot be sent: the part of the command line, and half a sentence.
std::optional<std::string> problem_with(const settings& s, const std::string& target) {
  const auto refused = [](std::string_view part, const http::request& r) -> std::optional<std::string> {
    const auto bad = validate(r);
    return bad ? std::optional{fmt::format("{}: {}", part, bad->text())} : std::nullopt;
  };
  const http::method method{s.method};
  if (auto bad = refused("METHOD", http::request{method})) return bad;
  for (const auto& [name, value] : s.how.headers)
    if (auto bad = refused("-H", http::request{method}.header(name, value))) return bad;
  if (s.key && *s.key != "auto") {
    if (auto bad = refused("--idempotency-key", http::request{method}.idempotency_key(*s.key))) return bad;
  }
  if (s.key && s.how.headers.contains(http::idempotency_key_field))
    return "--idempotency-key: -H gives an Idempotency-Key already";
  if (s.warm_up) {
    if (auto bad = refused("--warm-up", http::request::get(*s.warm_up))) return bad;
  }
  if ((s.body || s.file) && !validate(http::request{method, target})) {
    const char* const flag = s.body ? "--body" : "--body-file";
    if (auto bad = refused(flag, http::request{method, target}.body(""))) return bad;
  }
  return refused("URL", http::request{method, target});
}

http::request request_of(const settings& s, const std::string& target) {
  http::request r{http::method{s.method}, target};
  if (s.file)
    r.body(s.file->body(s.one_shot_body, again::attempt_bound(s.how.policy)));
  else if (s.body && s.one_shot_body)
    r.body(http::body::one_shot(*s.body));
  else if (s.body)
    r.body(*s.body);
  for (const auto& [name, value] : s.how.headers) r.headers().add(name, value);
  if (s.key && *s.key == "auto")
    r.idempotency_key_auto();
  else if (s.key)
    r.idempotency_key(*s.key);
  if (s.idempotent) r.idempotent();
  r.accept(s.accept);
  if (s.follow_redirects) r.max_redirects(10);
  return r;
}

void print(const outcome& o) { put_or_throw(report_of(o) + '\n'); }

using client = http::client_over<any_transport>;
using send_operation = http::send_operation<any_transport>;

// One attempt. A record of an attempt has no room for what an error says in detail: it is kept beside the record.
again::task<again::expected<http::response, http::error>> send_once(send_operation& send, std::string& last_detail) {
  auto result = co_await send();
  last_detail = result ? std::string{} : result.error().detail();
  co_return result;
}

// One call with all of its attempts.
again::task<outcome> call(client& api, const settings& s, const std::string& target) {
  auto send = api.send(request_of(s, target));
  std::string last_detail;
  std::vector<attempt> trace;
  const auto see = [&trace, &last_detail, &s](const again::attempt_record& record) {
    trace.push_back({record, record.ok ? std::string{} : last_detail});
    if (s.how.verbose)
      complain(record.ok || last_detail.empty() ? fmt::format("{}", record)
                                                : fmt::format("{}: {}", record, last_detail));
  };
  again::scheduler& where = co_await again::get_scheduler();
  const again::time_point start = where.now();
  const auto operation = [&] { return send_once(send, last_detail); };
  auto result = co_await again::retry(s.how.policy, operation).observe(see);
  co_return outcome_of(std::move(result), std::move(trace), where.now() - start);
}

again::task<> stop_later(again::duration d, again::inplace_stop_source& stop) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) stop.request_stop();
}

// A call that `--cancel-after` may stop.
again::task<outcome> bounded_call(client& api, const settings& s, const std::string& target,
                                  again::inplace_stop_source& stop) {
  const again::context& here = co_await again::get_context();
  again::scope watch{here.scheduler->root()};
  if (s.cancel_after) watch.spawn(stop_later(*s.cancel_after, stop));
  outcome o = co_await call(api, s, target);
  if (s.file) s.file->stop_waiting();
  watch.request_stop();
  co_await watch.join();
  co_return o;
}

again::task<> warm_up(client& api, const std::string& path) {
  const auto ignored = co_await api.get(path);
  (void)ignored;
}

int program(int argc, char** argv) {
  const settings s = settings_of(argc, argv);
  const auto url = http::parse_url(s.url);
  const auto problem = url ? problem_with(s, url->target) : fmt::format("URL: {}", url.error());
  if (problem) {  // also a result, for a program that reads results alone
    print(not_sent(http::error_kind::invalid_request, again::stop_reason::permanent, *problem));
    throw usage_error{*problem};
  }
  again::virtual_clock pretend{again::system_clocks().wall_now()};
  again::clock& time = s.how.no_wait ? static_cast<again::clock&>(pretend) : again::system_clocks();
  again::run_loop loop{time, s.how.seed ? *s.how.seed : again::fresh_seed()};

  http::client_options client_options = s.how.client_options();
  client_options.headers.clear();  // the request has them
  const std::unique_ptr<any_transport> transport = any_transport::make(s.how.transport_for(1));
  client api{*transport, url->origin, std::move(client_options)};
  if (s.warm_up) again::sync_wait(loop, warm_up(api, *s.warm_up));

  bool all = true;
  for (int i = 0; i < s.repeat; ++i) {
    again::inplace_stop_source stop;
    const outcome o = again::sync_wait(loop, bounded_call(api, s, url->target, stop), stop.get_token());
    print(o);
    all = all && o.ok;
  }
  return all ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("send", [&] { return program(argc, argv); });
}
