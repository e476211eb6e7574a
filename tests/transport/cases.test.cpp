// SPDX-License-Identifier: MIT
// Other clients' own test cases (tests/data/http_cases.json), each over real sockets: what the server saw, what the caller got, what
// was waited. Pretend time: waits cost nothing, and go on with real time only while a send is out. On a caller's loop, in real time,
// those that wait for long are left out.
#include <again/http/presets.hpp>

#include <again/core/stop_token.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry.hpp>

#include "support/call.hpp"
#include "support/json.hpp"
#include "support/misbehaving_server.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using support::json::value;

namespace {

const value& file() {
  static const value all = support::json::read_file("tests/data/http_cases.json");
  return all;
}

/// What the transport cannot do, by id, with the reason. At most four.
const std::map<std::string, std::string, std::less<>> gaps{};

// ── the file's words as the server's and the library's ──

/// Four times as long as the file says, timeouts and delays alike: what they decide stays the same on a machine that is busy.
std::chrono::milliseconds milliseconds_of(const value& v) {
  return std::chrono::milliseconds{4 * static_cast<long>(v.number_or(0))};
}

header_list fields_of(const value& v) {
  header_list out;
  if (v.is_object())
    for (const auto& [name, text] : v.object()) out.emplace_back(name, text.string());
  if (v.is_array())
    for (const value& pair : v.array()) out.emplace_back(pair.array()[0].string(), pair.array()[1].string());
  return out;
}

step step_of(const value& v) {
  const auto what = action_named(v["do"].string());
  if (!what) throw std::invalid_argument{"no step is called '" + v["do"].string() + "'"};
  step s;
  s.what = *what;
  s.status = static_cast<int>(v["status"].number_or(200));
  s.headers = fields_of(v["headers"]);
  s.content = v["data"].string_or(v["body"].string_or(""));
  s.no_length = v["no_length"].boolean_or(false);
  s.wait = milliseconds_of(v["ms"]);
  s.interval = milliseconds_of(v["interval_ms"]);
  if (s.what == action::drip && s.interval == 0ms) s.interval = 10ms;
  if (v.contains("content_length")) s.content_length = static_cast<std::size_t>(v["content_length"].number());
  const std::string end = v["end"].string_or("close"), then = v["then"].is_string() ? v["then"].string() : "";
  s.end = end == "rst" ? ending::reset : end == "keep" ? ending::keep : ending::close;
  if (v["then"].is_object()) s.inner = std::make_shared<const step>(step_of(v["then"]));
  if (then == "close") s.then = afterwards::close;
  if (then == "keep") s.then = afterwards::keep;
  if (then == "send_408_close") s.then = afterwards::send_408_close;
  if (then == "send_extra_response") s.then = afterwards::send_extra_response;
  return s;
}

std::vector<step> script_of(const value& one) {
  std::vector<step> script;
  for (const value& v : one["server"].array()) script.push_back(step_of(v));
  return script;
}

again::duration seconds_of(const value& v) {
  return v.is_null() ? again::forever : again::saturating_scale(1s, v.number());
}

const preset& preset_of(const value& one) {
  const std::string& name = one["policy"].string();
  const preset* const p = find_preset(name == "rfc_strict"   ? "rfc9110"
                                      : name == "rfc"        ? "rfc9110_refusals"
                                      : name == "okhttp_503" ? "okhttp"
                                                             : name);
  if (p == nullptr) throw std::invalid_argument{"no preset for " + name};
  return *p;
}

rules rules_of(const value& one) {
  rules r = *preset_of(one).rules;
  const value& over = one["policy_override"];
  if (over.contains("statuses")) {
    r.statuses = {};
    for (const value& s : over["statuses"].array()) r.statuses.insert(static_cast<int>(s.number()));
  }
  if (over.contains("methods")) {
    r.methods = {};
    for (const value& m : over["methods"].array()) r.methods.insert(method{m.string()});
  }
  if (over.contains("max_retry_after_s")) r.max_retry_after = seconds_of(over["max_retry_after_s"]);
  return r;
}

again::policy policy_of(const value& one) {
  const value &over = one["policy_override"], &entry = file()["policies"][one["policy"].string()];
  again::policy p{.attempts = static_cast<int>(over["max_attempts"].number_or(entry["max_attempts"].number())),
                  .backoff = again::constant(
                      again::saturating_scale(1ms, over["base_delay_ms"].number_or(entry["base_delay_ms"].number()))),
                  .jitter = again::jitter::none,
                  .deadline = seconds_of(over["max_total_s"]),
                  .server_delay_max = again::forever};  // the rules have the word on that
  if (one.contains("attempt_timeout_ms")) p.attempt_timeout = milliseconds_of(one["attempt_timeout_ms"]);
  return p;
}

request request_of(const value& one) {
  const value &what = one["request"], &over = one["policy_override"];
  request r{method{what["method"].string()}, what["path"].string()};
  std::optional<std::string> content;
  if (what.contains("body")) content = what["body"].string();
  if (one.contains("body_size")) content.emplace(static_cast<std::size_t>(one["body_size"].number()), 'b');
  if (content) r.body(over["body_replayable"].boolean_or(true) ? body{*content} : body::one_shot(*content));
  for (const auto& [name, text] : fields_of(one["headers"])) r.header(name, text);
  if (over["follow_redirects"].boolean_or(false)) r.max_redirects(10);
  return r;
}

/// What came of one case, over all of its calls.
struct played {
  int attempts = 0, not_sent = 0, redirects = 0;
  std::vector<again::duration> waits;
  std::string error;  // empty: a response
  int status = 0;
  std::string body;
};

/// One call as the case describes it.
void call(const value& one, misbehaving_server& server, client& api, again::run_loop& loop, played& seen) {
  const bool first_only = one["policy_override"]["user_predicate"].string_or("") == "first_only";
  int failures = 0;
  const auto judged = [&](const error& e) {
    seen.redirects += e.redirects();
    again::verdict v = e.verdict();
    if (first_only && ++failures == 2) v.kind = again::disposition::permanent;
    return v;
  };
  const auto watched = [&](const again::attempt_record& r) {
    ++seen.attempts;
    seen.not_sent += !r.ok && r.reach == again::reach::not_sent ? 1 : 0;
    if (!r.last) seen.waits.push_back(r.wait);
    if (r.name == "refused") server.refusal_seen();
  };
  again::inplace_stop_source stop;
  ring cancel{[&] { stop.request_stop(); }};
  if (one.contains("cancel_after_ms")) loop.arm(cancel, loop.now() + milliseconds_of(one["cancel_after_ms"]));
  const int before = seen.attempts;
  const auto result = run_pretending(
      loop, again::retry(policy_of(one), api.send(request_of(one))).when(judged).observe(watched), stop.get_token());
  loop.disarm(cancel);
  if (result) {
    seen.redirects += result->redirects;
    seen.error.clear();
    seen.status = result->status;
    seen.body = result->body;
    return;
  }
  CHECK(result.error().attempts() == seen.attempts - before);
  const error* const last = result.error().error();
  REQUIRE(last != nullptr);
  seen.error = last->kind() == error_kind::status ? "" : std::string{name(last->kind())};
  seen.status = last->status();
  if (last->response() != nullptr) seen.body = last->response()->body;
}

/// Whether it takes seconds, or a stop at a moment, where time cannot be pretended.
bool needs_pretended_time(const value& one) {
  if (one.contains("cancel_after_ms")) return true;
  for (const value& v : one["server"].array())
    for (const auto& field : fields_of(v["headers"]))
      if (field.first == "Retry-After" && field.second != "0") return true;
  return false;
}

void play(const value& one) {
  server_options how;
  how.refusals = refusals::told;
  if (one["scheme"].string_or("http") == "https") how.tls.emplace();
  misbehaving_server server{script_of(one), how};

  const value& expected = one["expected_outcome"];
  std::string url = server.url("");
  if (one.contains("url")) {
    url = one["url"].string();
    url.replace(url.find("{port}"), 6, std::to_string(server.port()));
  }
  if (!parse_origin(url)) {  // refused before anything could be sent
    CHECK(expected["error"].string_or("") == "invalid_request");
    CHECK(one["expected_attempts_seen"].number() == 0);
    CHECK(server.connections_seen() == 0);
    return;
  }
  client api{url, {.rules = rules_of(one)}, {.cacert = misbehaving_server::authority_file()}};
  again::virtual_clock time{again::system_clocks().wall_now()};  // the server's dates are real ones
  again::run_loop loop{time, 1};

  std::size_t warm = 0;
  if (one["warmup"].boolean_or(false)) {
    REQUIRE(run_pretending(loop, api.get("/warm-up")));
    warm = 1;
    const auto then = step_of(one["server"].array()[0]).then;
    if (then && *then != afterwards::keep)
      REQUIRE(server.wait_until([](const tally& t) { return t.idle_actions == 1; }));
  }
  played seen;
  for (int i = 0; i < static_cast<int>(one["repeat_call"].number_or(1)); ++i) call(one, server, api, loop, seen);

  CHECK(server.requests_seen() - warm == static_cast<std::size_t>(one["expected_attempts_seen"].number()));
  CHECK(server.requests_seen() - warm == static_cast<std::size_t>(seen.attempts - seen.not_sent + seen.redirects));
  CHECK(server.overruns() == 0);
  CHECK(server.counts().steps_left == 0);
  if (one.contains("expect_connections"))
    CHECK(server.connections_seen() == static_cast<std::size_t>(one["expect_connections"].number()));

  CHECK(seen.error == expected["error"].string_or(""));
  if (expected["kind"].string() == "response") CHECK(seen.status == static_cast<int>(expected["status"].number()));
  if (expected.contains("body")) CHECK(seen.body == expected["body"].string());
  if (one["expected_waits_s"].is_array()) {
    const auto& waits = one["expected_waits_s"].array();
    REQUIRE(seen.waits.size() == waits.size());
    for (std::size_t i = 0; i < waits.size(); ++i) {
      CHECK(seen.waits[i] >= seconds_of(waits[i]) - again::saturating_scale(1s, one["wait_tolerance_s"].number_or(0)));
    }
  }
}

}  // namespace

TEST_CASE("each client's own test cases, over sockets: what the server sees and what the caller gets") {
  for (const value& one : file()["cases"].array()) {
    const std::string &id = one["id"].string(), &source = one["source"].string();
    if (one["optional"].boolean_or(false) || gaps.contains(id)) continue;
    if (!can_pretend() && needs_pretended_time(one)) continue;
    SUBCASE(id.c_str()) {
      CAPTURE(id);
      CAPTURE(source);
      play(one);
    }
  }
}

TEST_CASE("of the cases at most four are beyond the transport, each with its reason") {
  CHECK(gaps.size() <= 4);
  std::size_t found = 0, optional = 0;
  for (const value& one : file()["cases"].array()) {
    found += gaps.count(one["id"].string());
    optional += one["optional"].boolean_or(false) ? 1U : 0U;
  }
  CHECK(found == gaps.size());
  CHECK(optional == 1);  // resuming with Range, which is not offered
  for (const auto& [id, reason] : gaps) {
    CHECK(!reason.empty());
    MESSAGE(id, ": ", reason);
  }
}

TEST_CASE(
    "over TLS too, with a server that closes right after the write, it sees as many requests as attempts were made") {
  // Later versions of cpp-httplib send again by themselves where a peer looks closed after the write.
  for (const bool reused : {false, true}) {
    CAPTURE(reused);
    server_options how;
    how.tls.emplace();
    misbehaving_server server{
        [](const seen_request& r, int) { return r.target == "/warm-up" ? respond(200) : tls_close_after_write(); },
        how};
    client api{server.url(""), {}, {.cacert = misbehaving_server::authority_file()}};
    again::virtual_clock time;
    again::run_loop loop{time, 1};
    const again::policy four{.attempts = 4, .jitter = again::jitter::none};
    const auto attempts = [&](request r) {
      if (reused) REQUIRE(run_pretending(loop, api.get("/warm-up")));
      const auto result = run_pretending(loop, again::retry(four, api.send(std::move(r))));
      REQUIRE(!result);
      CHECK(result.error().error()->kind() == error_kind::closed);
      return static_cast<std::size_t>(result.error().attempts());
    };
    const auto source = [] { return body::factory([] { return std::string(40'000, 'b'); }); };
    CHECK(attempts(request::get("/get")) == 4);
    CHECK(attempts(request::post("/post").body("b")) == 1);
    CHECK(attempts(request::put("/put").body(source())) == 4);
    CHECK(attempts(request::post("/keyed").body(source()).idempotency_key_auto()) == 4);
    CHECK(server.requests_seen("/get") == 4);
    CHECK(server.requests_seen("/post") == 1);
    CHECK(server.requests_seen("/put") == 4);
    CHECK(server.requests_seen("/keyed") == 4);
  }
}
