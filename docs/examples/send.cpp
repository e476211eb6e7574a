// SPDX-License-Identifier: MIT
// send METHOD URL: one request through retry, one JSON object on stdout.
#include "outcome.hpp"
#include "retry_options.hpp"

#include <again/again.hpp>
#include <again/format.hpp>
#include <again/http.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace programs;
namespace http = again::http;

struct settings {
  retry_options how;
  std::string method, url;
  std::optional<std::string> body, body_file;
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
  o.with("--body-file", "FILE", "a file that holds the body, read again for each attempt",
         [&s](std::string_view v) { s.body_file = v; });
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
  if (s.body && s.body_file) throw usage_error{"--body and --body-file exclude each other: give one of them"};
  if (words[1].find("://") == std::string::npos) {
    throw usage_error{fmt::format("URL: '{0}' has no scheme; write it like http://{0}", shown_url(words[1]))};
  }
  if (s.body_file) {
    std::error_code unknown;
    const bool folder = std::filesystem::is_directory(*s.body_file, unknown);
    std::FILE* const file = folder ? nullptr : std::fopen(s.body_file->c_str(), "rb");
    if (file == nullptr) throw usage_error{fmt::format("--body-file: cannot read {}", *s.body_file)};
    std::fclose(file);
  }
  s.method = std::move(words[0]);
  s.url = std::move(words[1]);
  s.how.finish();
  return s;
}

std::string contents_of(const std::string& path) {
  std::string all;
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw usage_error{fmt::format("--body-file: cannot read {}", path)};
  char part[65536];
  for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, file)) > 0;) all.append(part, n);
  const bool broken = std::ferror(file) != 0;
  std::fclose(file);
  if (broken) throw usage_error{fmt::format("--body-file: cannot read {}", path)};
  return all;
}

http::request request_of(const settings& s, const std::string& target) {
  http::request r{http::method{s.method}, target};
  if (s.body || s.body_file) {
    if (s.one_shot_body)
      r.body(http::body::one_shot(s.body ? *s.body : contents_of(*s.body_file)));
    else if (s.body)
      r.body(*s.body);
    else
      r.body(http::body::file(*s.body_file));
  }
  if (s.key && *s.key == "auto")
    r.idempotency_key_auto();
  else if (s.key)
    r.idempotency_key(*s.key);
  if (s.idempotent) r.idempotent();
  r.accept(s.accept);
  if (s.follow_redirects) r.max_redirects(10);
  return r;
}

void print(const outcome& o) { put_or_throw(one_line(report_of(o)) + '\n'); }

// One call with all of its attempts.
again::task<outcome> call(http::client& client, const settings& s, const std::string& target) {
  const http::request what = request_of(s, target);
  http::request complete = what;
  for (const auto& [name, value] : s.how.headers) complete.headers().add(name, value);
  if (const auto bad = validate(complete)) {
    co_return not_sent(http::error_kind::invalid_request, again::stop_reason::permanent, bad->text());
  }
  std::vector<again::attempt_record> trace;
  const auto see = [&trace, &s](const again::attempt_record& record) {
    trace.push_back(record);
    if (s.how.verbose) complain(fmt::format("{}\n", record));
  };
  again::scheduler& where = co_await again::get_scheduler();
  const again::time_point start = where.now();
  auto result = co_await again::retry(s.how.policy, client.send(complete)).observe(see);
  co_return outcome_of(std::move(result), std::move(trace), where.now() - start);
}

again::task<> stop_later(again::duration d, again::inplace_stop_source& stop) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) stop.request_stop();
}

// A call that `--cancel-after` may stop.
again::task<outcome> bounded_call(http::client& client, const settings& s, const std::string& target,
                                  again::inplace_stop_source& stop) {
  const again::context& here = co_await again::get_context();
  again::scope watch{here.scheduler->root()};
  if (s.cancel_after) watch.spawn(stop_later(*s.cancel_after, stop));
  outcome o = co_await call(client, s, target);
  watch.request_stop();
  co_await watch.join();
  co_return o;
}

again::task<> warm_up(http::client& client, const std::string& path) {
  const auto ignored = co_await client.get(path);
  (void)ignored;
}

int program(int argc, char** argv) {
  const settings s = settings_of(argc, argv);
  const auto url = http::parse_url(s.url);
  if (!url) {  // a URL that cannot be used is reported as a result too
    complain(fmt::format("send: URL: {}\n", url.error()));
    print(not_sent(http::error_kind::invalid_request, again::stop_reason::permanent, url.error().text()));
    return 1;
  }
  again::virtual_clock pretend{again::system_clocks().wall_now()};
  again::clock& time = s.how.no_wait ? static_cast<again::clock&>(pretend) : again::system_clocks();
  again::run_loop loop{time, s.how.seed ? *s.how.seed : again::fresh_seed()};

  http::client_options client_options = s.how.client_options();
  client_options.headers.clear();  // call() adds and validates them with the request
  http::client client{url->origin.text(), std::move(client_options), {.cacert = s.how.cacert}};
  if (s.warm_up) again::sync_wait(loop, warm_up(client, *s.warm_up));

  bool all = true;
  for (int i = 0; i < s.repeat; ++i) {
    again::inplace_stop_source stop;
    const outcome o = again::sync_wait(loop, bounded_call(client, s, url->target, stop), stop.get_token());
    print(o);
    all = all && o.ok;
  }
  return all ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("send", [&] { return program(argc, argv); });
}
