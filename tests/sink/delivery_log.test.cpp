// SPDX-License-Identifier: MIT
#include <again/sink/delivery_log.hpp>

#include <again/http/client.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

namespace {

const wall_time noon{std::chrono::milliseconds{1'700'000'000'012}};

attempt_record failed_once(bool last) {
  attempt_record r{.attempt = 1,
                   .last = last,
                   .reach = reach::answered,
                   .kind = disposition::transient,
                   .by = wait_by::backoff,
                   .code = 503,
                   .name = "status",
                   .took = 1200us,
                   .wait = 87ms};
  r.stop = stop_reason::attempts_exhausted;
  return r;
}

delivery undelivered() {
  event e{"e 1", "secret body", {{"Authorization", "Bearer secret"}, {"Cookie", "secret"}}};
  e.key = "secret-key";
  delivery d{std::move(e)};
  d.accepted = true;
  d.elapsed = 91'400us;
  const http::error last{http::rules{}, {}, http::response{503, {{"Set-Cookie", "secret"}}, "secret"}, wall_time{}};
  d.outcomes.emplace_back(
      "http://h/in",
      endpoint_outcome::result_type{
          unexpect, failure<http::error>{{.reason = stop_reason::attempts_exhausted, .attempts = 2, .error = last}}},
      2, 91ms, attempt_trace{});
  return d;
}

}  // namespace

TEST_CASE("the level rises with the last attempt") {
  const event e{"42"};
  CHECK(log_line(log_format::logfmt, noon, e, "http://h/in", failed_once(false)) ==
        "ts=1700000000.012 level=warn msg=attempt event=42 endpoint=http://h/in attempt=1 status=503 reach=answered "
        "took_ms=1.2 wait_ms=87 wait_by=backoff");
  CHECK(log_line(log_format::logfmt, noon, e, "http://h/in", failed_once(true)) ==
        "ts=1700000000.012 level=error msg=attempt event=42 endpoint=http://h/in attempt=1 status=503 reach=answered "
        "took_ms=1.2 stop=attempts_exhausted");
  CHECK(
      log_line(log_format::logfmt, noon, e, "x", {.attempt = 2, .ok = true, .last = true, .code = 202, .took = 1ms}) ==
      "ts=1700000000.012 level=info msg=attempt event=42 endpoint=x attempt=2 status=202 took_ms=1");
}

TEST_CASE("a result is one line in either format, with values quoted where the format needs it") {
  CHECK(log_line(log_format::logfmt, noon, undelivered()) ==
        "ts=1700000000.012 level=error msg=failed event=\"e 1\" attempts=2 elapsed_ms=91.4 reason=attempts_exhausted "
        "endpoint=http://h/in "
        "error=\"503 Service Unavailable (answered)\"");
  CHECK(
      log_line(log_format::json, noon, undelivered()) ==
      R"({"ts":1700000000.012,"level":"error","msg":"failed","event":"e 1","attempts":2,"elapsed_ms":91.4,"reason":"attempts_exhausted",)"
      R"j("endpoint":"http://h/in","error":"503 Service Unavailable (answered)"})j");
  delivery odd{event{"a\"b\nc\\d\xff"}};
  odd.not_begun = stop_reason::overloaded;
  CHECK(log_line(log_format::logfmt, noon, odd) ==
        "ts=1700000000.012 level=warn msg=refused event=\"a\\\"b\\nc\\\\d\xef\xbf\xbd\" attempts=0 elapsed_ms=0 "
        "reason=overloaded");
}

TEST_CASE("no header and no body is in any line; a key only on request") {
  for (const log_format f : {log_format::logfmt, log_format::json}) {
    const delivery d = undelivered();
    CHECK(log_line(f, noon, d).find("secret") == std::string::npos);
    CHECK(log_line(f, noon, d.event, "http://h/in", failed_once(true)).find("secret") == std::string::npos);
    CHECK(log_line(f, noon, d, true).find("secret-key") != std::string::npos);
    CHECK(log_line(f, noon, d, true).find("Bearer") == std::string::npos);
  }
}

TEST_CASE("a log writes the lines of its level and above, for attempts and for results") {
  std::vector<std::pair<log_level, std::string>> heard;
  delivery_log log{log_format::logfmt, [&heard](log_level l, std::string_view line) { heard.emplace_back(l, line); },
                   log_level::warn};
  log.attempted(event{"1"}, "x", {.attempt = 1, .ok = true, .last = true});
  log.attempted(event{"1"}, "x", failed_once(false));
  log.attempted(event{"1"}, "x", failed_once(true));
  log.finished(undelivered());
  REQUIRE(heard.size() == 3);
  CHECK(heard[0].first == log_level::warn);
  CHECK(heard[1].first == log_level::error);
  CHECK(heard[2].first == log_level::error);
}
