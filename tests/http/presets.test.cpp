// SPDX-License-Identifier: MIT
// The rules of each client against that client's own test cases, judged without sockets: what the scripted server does is
// turned into the outcome that a faultless transport would report, and the number of sends and the waits must come out.
#include <again/http/presets.hpp>

#include <again/http/error.hpp>
#include <again/policy/decide.hpp>

#include <doctest/doctest.h>

#include <support/json.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

using namespace again::http;
using again::reach;
using namespace std::chrono_literals;
using support::json::value;

namespace {

constexpr again::wall_time now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + 7h;

const value& file() {
  static const value all = support::json::read_file("tests/data/http_cases.json");
  return all;
}

std::string name_here(const std::string& name_there) {
  return name_there == "rfc_strict"   ? "rfc9110"
         : name_there == "rfc"        ? "rfc9110_refusals"
         : name_there == "okhttp_503" ? "okhttp"
                                      : name_there;
}

status_set statuses_of(const value& list) {
  status_set set;
  if (list.is_array())
    for (const value& s : list.array()) set.insert(static_cast<int>(s.number()));
  return set;
}

method_set methods_of(const value& list) {
  if (list.is_string()) return list.string() == "any" ? method_set::any() : method_set{};
  method_set set;
  for (const value& m : list.array()) REQUIRE(set.insert(method{m.string()}));
  return set;
}

again::duration seconds_of(const value& s) {
  return s.is_null() ? again::forever : again::saturating_scale(1s, s.number());
}

/// A `policies` entry of the file as rules. `ours`: it is one of our own, which go by classes where the RFC does,
/// and wait for an outstanding key.
rules rules_of(const value& p, bool ours) {
  rules r{.statuses = statuses_of(p["statuses"]),
          .any_method_statuses = statuses_of(p["any_method_statuses"]),
          .methods = methods_of(p["methods"]),
          .not_sent_any_method = p["not_sent_any_method"].boolean(),
          .errors = {},
          .respect_retry_after = statuses_of(p["respect_retry_after"]),
          .max_retry_after = seconds_of(p["max_retry_after_s"]),
          .over_max = p["over_max"].string() == "clamp" ? again::over_max::cap : again::over_max::stop,
          .retry_after_forces_retry = p["retry_after_forces_retry"].boolean_or(false),
          .needs_retry_after = p["retry_413_needs_header"].boolean_or(false) ? status_set{413} : status_set{},
          .zero_retry_after_statuses = statuses_of(p["zero_retry_after_statuses"])};
  r.unknown_as_class = ours;
  if (!ours) r.outstanding_key_statuses = {};
  if (ours) r.errors.insert(error_kind::shortage);  // for which the file has no word
  for (const value& e : p["errors"].array()) {
    if (e.string() == "truncated_headers") {
      r.truncated_headers = true;
    } else {
      r.errors.insert(parse_error_kind(e.string()).value());
    }
  }
  if (p["fatal"].is_array())
    for (const value& e : p["fatal"].array()) r.errors.erase(parse_error_kind(e.string()).value());
  return r;
}

std::string expand_date(const std::string& text) {
  for (const auto& [prefix, form] :
       {std::pair{"@now", date_form::imf}, {"@rfc850", date_form::rfc850}, {"@asctime", date_form::asctime}}) {
    const std::string p = prefix;
    if (text.rfind(p, 0) != 0) continue;
    return format_http_date(
        std::chrono::floor<std::chrono::seconds>(now) + std::chrono::seconds{std::stoi(text.substr(p.size()))}, form);
  }
  return text;
}

headers headers_of(const value& h) {
  headers out;
  if (h.is_object())
    for (const auto& [name, v] : h.object()) out.add(name, expand_date(v.string()));
  if (h.is_array())
    for (const value& pair : h.array()) out.add(pair.array()[0].string(), expand_date(pair.array()[1].string()));
  return out;
}

/// What one scripted step does to a request.
struct step_result {
  error_kind kind = error_kind::status;
  reach how_far = reach::answered;
  again::http::response response;
  bool seen = true;  // by the server
};

bool plays(const std::string& what) {
  static const std::set<std::string> known{"respond",   "close",      "reset",          "close_on_accept",
                                           "refuse",    "blackhole",  "hang",           "delay",
                                           "truncated", "stall_body", "early_response", "tls_untrusted"};
  return known.count(what) != 0;
}

step_result play(const value& step, const value& one_case) {
  const std::string what = step["do"].string();
  const auto whole = [&] {
    return response{static_cast<int>(step["status"].number_or(200)), headers_of(step["headers"]),
                    step["body"].string_or("")};
  };
  const double timeout = one_case["attempt_timeout_ms"].number_or(1e9);
  if (what == "close") return {error_kind::closed, reach::maybe_sent, {}};
  if (what == "reset") return {error_kind::reset, reach::maybe_sent, {}};
  if (what == "close_on_accept") {
    if (one_case["scheme"].string_or("http") == "https") return {error_kind::tls_handshake, reach::not_sent, {}, false};
    return {error_kind::closed, reach::maybe_sent, {}};
  }
  if (what == "refuse") return {error_kind::refused, reach::not_sent, {}, false};
  if (what == "blackhole") return {error_kind::connect_timeout, reach::not_sent, {}, false};
  if (what == "tls_untrusted") return {error_kind::tls_verify, reach::not_sent, {}, false};
  if (what == "hang")
    return {one_case.contains("cancel_after_ms") ? error_kind::cancelled : error_kind::timeout, reach::maybe_sent, {}};
  if (what == "delay" && step["ms"].number() > timeout) return {error_kind::timeout, reach::maybe_sent, {}};
  if (what == "delay") return play(step["then"], one_case);
  if (what == "truncated") return {error_kind::truncated, reach::answered, whole()};
  if (what == "stall_body") return {error_kind::timeout, reach::answered, whole()};
  return {error_kind::status, reach::answered, whole()};
}

}  // namespace

static_assert(find_preset("curl")->rules == &rules::curl && find_preset("Curl") == nullptr);

TEST_CASE("every preset has exactly the rules that the shared file has for its client") {
  std::set<std::string> covered;
  for (const auto& [name_there, policy] : file()["policies"].object()) {
    CAPTURE(name_there);
    const preset* p = find_preset(name_here(name_there));
    REQUIRE(p != nullptr);
    rules expected = rules_of(policy, p->name.starts_with("rfc9110"));
    const rules& r = *p->rules;
    CHECK(r.statuses.text() == expected.statuses.text());
    CHECK(r.any_method_statuses.text() == expected.any_method_statuses.text());
    CHECK(r.methods.text() == expected.methods.text());
    CHECK(r.not_sent_any_method == expected.not_sent_any_method);
    CHECK(r.errors.text() == expected.errors.text());
    CHECK(r.truncated_headers == expected.truncated_headers);
    if (p->name.starts_with("rfc9110")) {  // ours obey Retry-After everywhere, the file's on three statuses
      CHECK((expected.respect_retry_after - r.respect_retry_after).empty());
      expected.respect_retry_after = r.respect_retry_after;
    }
    CHECK(r.respect_retry_after.text() == expected.respect_retry_after.text());
    CHECK(r.max_retry_after == expected.max_retry_after);
    CHECK(r == expected);
    CHECK(p->attempts == static_cast<int>(policy["max_attempts"].number()));
    covered.emplace(p->name);
  }
  CHECK(covered.size() == presets.size());
}

TEST_CASE("every preset has its sentences and a unique name") {
  std::set<std::string> names;
  for (const preset& p : presets) {
    CAPTURE(p.name);
    names.emplace(p.name);
    CHECK_FALSE(p.client.empty());
    CHECK(p.attempts >= 1);
    CHECK(p.differs.back() == '.');
    CHECK(p.wise.back() == '.');
    REQUIRE(parse_rules(p.name));
    CHECK(*parse_rules(p.name) == *p.rules);
  }
  CHECK(names.size() == presets.size());
  const auto none = parse_rules("wget");
  REQUIRE_FALSE(none);
  CHECK(none.error().reason().find("'wget'") != std::string::npos);
  CHECK(none.error().reason().find("rfc9110, rfc9110_refusals, curl") != std::string::npos);
}

TEST_CASE("each client's own test cases end as in that client") {
  std::vector<std::string> not_judged;
  int judged = 0;
  for (const value& c : file()["cases"].array()) {
    const std::string id = c["id"].string(), source = c["source"].string();
    const value& over = c["policy_override"];
    bool pure = !c["optional"].boolean_or(false) && !over["follow_redirects"].boolean_or(false);
    for (const value& step : c["server"].array()) pure = pure && plays(step["do"].string());
    if (!pure) {
      not_judged.push_back(id);
      continue;
    }
    CAPTURE(id);
    CAPTURE(source);
    ++judged;

    const value& policy_there = file()["policies"][c["policy"].string()];
    rules r = *find_preset(name_here(c["policy"].string()))->rules;
    if (over.contains("statuses")) r.statuses = statuses_of(over["statuses"]);
    if (over.contains("methods")) r.methods = methods_of(over["methods"]);
    if (over.contains("max_retry_after_s")) r.max_retry_after = seconds_of(over["max_retry_after_s"]);
    const again::policy policy{
        .attempts = static_cast<int>(over["max_attempts"].number_or(policy_there["max_attempts"].number())),
        .backoff = again::constant(
            again::saturating_scale(1ms, over["base_delay_ms"].number_or(policy_there["base_delay_ms"].number()))),
        .jitter = again::jitter::none,
        .deadline = over.contains("max_total_s") ? seconds_of(over["max_total_s"]) : again::forever,
        .server_delay_max = again::forever};

    // A request that is not one is refused before anything is sent.
    request wanted{method{c["request"]["method"].string()}, c["request"]["path"].string()};
    if (c["request"].contains("body")) wanted.body(c["request"]["body"].string());
    if (!over["body_replayable"].boolean_or(true)) wanted.body(body::one_shot(c["request"]["body"].string_or("x")));
    for (const auto& [name, v] : headers_of(c["headers"])) wanted.header(name, v);
    const bool bad_url = c.contains("url") && !parse_url("http://h/" + c["request"]["path"].string()).has_value();
    if (validate(wanted) || bad_url ||
        (c.contains("url") && c["url"].string().find("ftp:") == 0 && !parse_url("ftp://127.0.0.1:1/"))) {
      CHECK(c["expected_outcome"]["error"].string_or("") == "invalid_request");
      CHECK(c["expected_attempts_seen"].number() == 0);
      continue;
    }

    std::size_t at = c["warmup"].boolean_or(false) ? 1 : 0;
    int seen = 0, status = 0;
    std::string error_name;
    std::vector<again::duration> waits;
    for (int call = 0; call < static_cast<int>(c["repeat_call"].number_or(1)); ++call) {
      again::progress where;
      while (at < c["server"].array().size()) {
        static_cast<void>(wanted.body().open());
        const step_result step = play(c["server"].array()[at++], c);
        seen += step.seen ? 1 : 0;
        status = step.kind == error_kind::status ? step.response.status : 0;
        error_name = step.kind == error_kind::status ? "" : name(step.kind);
        if (step.kind == error_kind::status && accepted(r, wanted.accept(), status)) break;
        const error e = step.response.status != 0
                            ? error{r, wanted.facts(), step.kind, step.how_far, "", step.response, now}
                            : error{r, wanted.facts(), step.kind, step.how_far};
        const again::decision d = again::decide(policy, where, e.verdict(), 0);
        if (!d.again || (over["user_predicate"].string_or("") == "first_only" && where.attempt == 2)) break;
        waits.push_back(d.wait);
        ++where.attempt;
        where.elapsed += d.wait;
      }
    }
    CHECK(seen == static_cast<int>(c["expected_attempts_seen"].number()));
    const value& outcome = c["expected_outcome"];
    CHECK(outcome["status"].number_or(0) == status);
    CHECK(outcome["error"].string_or("") == error_name);
    if (c["expected_waits_s"].is_array()) {
      const auto& expected = c["expected_waits_s"].array();
      CHECK(waits.size() == expected.size());
      for (std::size_t i = 0; i < std::min(waits.size(), expected.size()); ++i) {
        CHECK(waits[i] >= seconds_of(expected[i]) -
                              seconds_of(c["wait_tolerance_s"].is_null() ? value{0.0} : c["wait_tolerance_s"]));
        CHECK(waits[i] <= seconds_of(expected[i]) + 10ms);
      }
    }
  }
  CHECK(judged >= 110);
  std::string rest;
  for (const std::string& id : not_judged) rest += id + " ";
  MESSAGE("judged ", judged, " cases; these need bytes on a wire: ", rest);
}

namespace {

std::string span_of(again::duration d) {
  if (d == again::forever) return "no bound";
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(d).count();
  return hours > 0 ? std::to_string(hours) + " h" : "0";
}

/// The Retry-After column: whose is obeyed, and what happens beyond the maximum.
std::string retry_after_of(const rules& r) {
  std::string out;
  if (!r.zero_retry_after_statuses.empty()) out = "only 0, of " + r.zero_retry_after_statuses.text();
  if (!r.respect_retry_after.empty()) {
    const bool every = (status_set::range(100, 999) - r.respect_retry_after).empty();
    out = (every ? std::string{"every status"} : r.respect_retry_after.text()) + "; " +
          (r.max_retry_after == again::forever ? "" : "at most ") + span_of(r.max_retry_after);
    if (r.max_retry_after != again::forever || r.over_max == again::over_max::cap)
      out += std::string{", then "} + (r.over_max == again::over_max::cap ? "cut" : "stop");
  }
  if (r.retry_after_forces_retry) out += "; needed";
  if (!r.needs_retry_after.empty()) out += "; needed by " + r.needs_retry_after.text();
  return out.empty() ? "ignored" : out;
}

std::string tables() {
  std::string out = "| name | statuses | of any method | methods | if not sent | errors | Retry-After "
                    "|\n|---|---|---|---|---|---|---|\n";
  for (const preset& p : presets) {
    const rules& r = *p.rules;
    const std::string errors = r.errors.text() + (r.truncated_headers ? ", truncated (in the headers)" : "");
    out += "| `" + std::string{p.name} + "` | " + r.statuses.text() +
           (r.unknown_as_class && !r.statuses.empty() ? "; unknown ones by class" : "") + " | " +
           r.any_method_statuses.text() + " | " +
           (r.methods == method_set::idempotent() ? "idempotent" : r.methods.text()) + " | " +
           (r.not_sent_any_method ? "any method" : "`methods`") + " | " + errors + " | " + retry_after_of(r) + " |\n";
  }
  out += "\n| name | whose | sends | how it differs from the default | is that wise? |\n|---|---|---|---|---|\n";
  for (const preset& p : presets) {
    out += "| `" + std::string{p.name} + "` | " + std::string{p.client} + " | " + std::to_string(p.attempts) + " | " +
           std::string{p.differs} + " | " + std::string{p.wise} + " |\n";
  }
  return out;
}

}  // namespace

TEST_CASE("docs/http.md shows the presets of this header") {
  const auto read = [] {
    std::ifstream page{"docs/http.md"};
    return std::string{std::istreambuf_iterator<char>{page}, {}};
  };
  const std::string begin = "AGAIN_REWRITE_DOCS=1 to renew -->\n", end = "<!-- end of presets -->";
  std::string page = read();
  const auto from = page.find(begin), to = page.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  if (std::getenv("AGAIN_REWRITE_DOCS") != nullptr) {
    page.replace(from + begin.size(), to - from - begin.size(), "\n" + tables() + "\n");
    std::ofstream{"docs/http.md"} << page;
    page = read();
  }
  CHECK(page.find("\n" + tables() + "\n" + end) != std::string::npos);
}
