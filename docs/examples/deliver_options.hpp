// SPDX-License-Identifier: MIT
// The command line of `deliver`.
#pragma once

#include "endpoint_options.hpp"
#include "event_filters.hpp"
#include "journal_delivery.hpp"
#include "listen_options.hpp"
#include "nats_access.hpp"
#include "retry_options.hpp"
#include "webhook_options.hpp"

#include <again/http.hpp>
#include <again/journal/durable_options.hpp>
#include <again/sink/delivery_log.hpp>
#include <again/sink/options.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

struct deliver_settings {
  retry_options how;
  webhook_options webhooks;
  endpoint_options takes;
  listen_options listen;
  std::vector<again::endpoint> endpoints;
  event_filters filters;                                       // of the endpoints
  std::vector<std::optional<permission_request>> permissions;  // that they are asked for
  std::optional<std::string> input, endpoint_file, dead_letters, metrics, exported, journal, status, status_admin;
  std::optional<again::log_format> log;
  again::log_level log_level = again::log_level::info;
  again::routing routing = again::routing::round_robin;
  again::ordering order = again::ordering::none;
  again::moving move_on = again::moving::any;
  int parallel = 16;
  int endpoint_parallel = 0;  // 0: as parallel
  int queue = 256;            // as the sink's: with fewer, the events of one slow key soon hold all places
  std::size_t kept_responses = 1000;
  std::size_t longest = std::size_t{1} << 20U;
  again::duration grace = std::chrono::seconds{5};
  again::http::status_set accept;
  std::vector<std::string> allowed_hosts;
  bool no_key = false, explain = false, replay = false, fsync = false, log_keys = false, follow_redirects = false,
       poll_by_get = false, acknowledge = false;
  again::durable_options durable;  // for --journal
  nats_access nats;

  /// `own`: the flags of one endpoint; they override those in `words`.
  explicit deliver_settings(std::vector<std::string> words, std::vector<std::string> own = {}) {
    options o{"deliver", "[options] URL...\n\nPOSTs each line of its input, one JSON event per line, and prints one "
                         "JSON result per event.\n"
                         "Several URLs take turns; a retry goes to the next URL if the last one did not respond."};
    how.add_to(o);
    add_to(o);
    webhooks.add_to(o);
    listen.add_to(o);
    urls_ = parsed(o, words);
    parsed(o, own);
    how.finish(webhooks.defaults());
    check_journal();
    if (status_admin && !status) throw usage_error{"--status-admin needs --status PORT"};
    if (status && how.no_wait)
      throw usage_error{"--no-wait: the page of --status shows real times; leave one of the two out"};
    if (how.transport == transport_kind::httplib && std::max(parallel, endpoint_parallel) > most_threads) {
      throw usage_error{fmt::format("--parallel: more than {} events in flight would take as many threads: use "
                                    "--transport beast",
                                    most_threads)};
    }
  }

  /// Makes the endpoints from the URLs and from the file of endpoints. `words`: the command line.
  void find_endpoints(const std::vector<std::string>& words) {
    for (const std::string& text : urls_) add_endpoint(text, "", *this);
    if (endpoint_file) read_endpoints(words);
    if (endpoints.empty()) {
      throw usage_error{"needs a URL to deliver to: deliver http://127.0.0.1:8080/events < events.jsonl; deliver "
                        "--help lists the options"};
    }
    if (filters && routing != again::routing::broadcast)
      throw usage_error{"--endpoints: a filter needs --to all: an event goes to each endpoint whose filter takes it"};
    if (const auto wrong = again::validate(endpoints, sink_options())) throw usage_error{*wrong};
    const auto typed = std::count_if(endpoints.begin(), endpoints.end(),
                                     [](const again::endpoint& at) { return at.headers.contains("Content-Type"); });
    if (typed != 0 && static_cast<std::size_t>(typed) != endpoints.size())
      throw usage_error{"-H: a Content-Type for some endpoints only: give it to all of them or to none"};
  }
  /// Attempts that may be under way at a time.
  std::size_t most_connections() const noexcept {
    std::size_t all = 0;
    for (const again::endpoint& e : endpoints) all += static_cast<std::size_t>(e.in_flight);
    return std::min(all, static_cast<std::size_t>(parallel));
  }
  bool names_endpoints() const noexcept { return !urls_.empty() || endpoint_file; }
  /// The longest line of input. A dead letter holds its event as JSON in JSON, and the id twice: each byte may take six bytes.
  std::size_t line_bound() const noexcept {
    constexpr std::size_t times = 12, other_members = 65536;
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    return !replay ? longest : longest > (most - other_members) / times ? most : longest * times + other_members;
  }

  /// Lifetime: until the settings end.
  again::sink_options sink_options() const {
    again::sink_options o;
    o.routing = routing;
    o.order = order;
    o.move_on = move_on;
    o.in_flight = parallel;
    o.queue = queue;
    o.idempotency_keys = !no_key;
    if (filters) {
      o.choose = [this](const again::event& e) {
        std::vector<std::size_t> wanted_by = filters.endpoints_for(e);
        if (wanted_by.empty()) throw std::invalid_argument{std::string{unmatched_detail}};
        return wanted_by;
      };
    }
    return o;
  }

 private:
  static constexpr int most_parallel = 65536, most_threads = 1024;

  static std::vector<std::string> parsed(const options& o, std::vector<std::string>& words) {
    std::vector<char*> argv;
    std::string program = "deliver";
    argv.push_back(program.data());
    for (std::string& word : words) argv.push_back(word.data());
    return o.parse(static_cast<int>(argv.size()), argv.data());
  }
  template <class T> static T one_of(std::string_view text,
                                     std::initializer_list<std::pair<std::string_view, T>> known) {
    std::string names;
    for (const auto& [name, value] : known) {
      if (name == text) return value;
      names.append(names.empty() ? "" : ", ").append(name);
    }
    throw usage_error{fmt::format("'{}' is none of {}", text, names)};
  }

  void add_to(options& o) {
    o.with("--input", "FILE", "read events from FILE instead of stdin", [this](std::string_view v) { input = v; });
    o.with("--parallel", "N", "events in flight at a time (16)",
           [this](std::string_view v) { parallel = number_in<int>(v, 1, most_parallel); });
    o.with("--max-line", "SIZE", "the longest line that is accepted (1MiB)", [this](std::string_view v) {
      longest = static_cast<std::size_t>(std::max<std::uint64_t>(size_of(v), 2));
      if (longest > std::size_t{1} << 30U) throw usage_error{"must not be more than 1024MiB"};
    });
    o.with("--grace", "D", "after Ctrl-C, time for the events in flight (5s)", [this](std::string_view v) {
      grace = duration_of(v);
      if (grace > std::chrono::hours{1}) throw usage_error{"must not be more than 1h"};
    });
    o.on("--no-key", "send no Idempotency-Key; then only an event that was not sent is sent again", no_key);
    o.on("--explain", "print the schedule and its worst case, send nothing", explain);

    o.heading("Endpoints");
    o.with("--to", "WHICH", "any: one URL per event, in turns; all: every URL (any)", [this](std::string_view v) {
      routing = one_of<again::routing>(v, {{"any", again::routing::round_robin}, {"all", again::routing::broadcast}});
    });
    o.with("--move-on", "WHEN", "which failures move a retry to another URL: unanswered, or any (any)",
           [this](std::string_view v) {
             move_on =
                 one_of<again::moving>(v, {{"unanswered", again::moving::unanswered}, {"any", again::moving::any}});
           });
    o.with("--order", "OF", "none; endpoint: one event at a time per URL; key: per partitionkey (none)",
           [this](std::string_view v) {
             order = one_of<again::ordering>(v, {{"none", again::ordering::none},
                                                 {"endpoint", again::ordering::per_endpoint},
                                                 {"key", again::ordering::per_key}});
           });
    o.with("--endpoint-parallel", "N", "events in flight at one URL (as --parallel)",
           [this](std::string_view v) { endpoint_parallel = number_in<int>(v, 1, most_parallel); });
    takes.add_to(o);
    o.with("--queue", "N", "events that wait for a free place (256)",
           [this](std::string_view v) { queue = number_in<int>(v, 0, 65536); });
    o.with("--accept", "LIST", "statuses that deliver an event besides 2xx, such as 302,404",
           [this](std::string_view v) { accept = taken(again::http::parse_status_set(v)); });
    o.on("--follow-redirects", "follow at most 10 redirects; otherwise a redirect is a failure", follow_redirects);
    o.with("--endpoints", "FILE", "more endpoints: a JSON array of objects with url, name, and flags as members",
           [this](std::string_view v) { endpoint_file = v; });

    o.heading("A journal");
    o.with("--journal", "FILE",
           "keep events in FILE until they are delivered; a later run goes on (docs/delivery.md); "
           "nats://HOST,HOST/STREAM: "
           "on JetStream, for many machines",
           [this](std::string_view v) {
             journal = v;
             require_journal(*journal);
           });
    nats.add_to(o);
    o.with("--replicas", "N", "copies of each stream on JetStream, where it is made (1)",
           [this](std::string_view v) { nats.replicas = number_in<int>(v, 1, 5); });
    o.with("--lease", "D",
           "on JetStream: another worker takes over what this one has, after this time without a sign (30s)",
           [this](std::string_view v) {
             durable.lease = duration_of(v);
             leases_ = true;
           });
    o.on("--acknowledge", "print {\"acknowledged\":N} when all lines up to N are in the journal, or refused",
         acknowledge);
    o.with("--redeliver-base", "D", "the first wait after a delivery that failed with all its attempts (5s)",
           [this](std::string_view v) { durable.schedule.backoff.base = redelivery(v); });
    o.with("--redeliver-cap", "D", "the longest of these waits (1h)",
           [this](std::string_view v) { durable.schedule.backoff.cap = redelivery(v); });
    o.with("--redeliver-for", "D", "an event is given up this long after its first attempt (24h)",
           [this](std::string_view v) { durable.schedule.deadline = redelivery(v); });
    o.with("--short-wait", "D", "at the end of the input, waits up to this are waited for (10s)",
           [this](std::string_view v) {
             durable.short_wait = duration_of(v);
             uses_journal_ = true;
           });

    o.heading("Dead letters, metrics and logs");
    o.with("--dead-letters", "FILE", "append each event that was not delivered, as one JSON line",
           [this](std::string_view v) { dead_letters = v; });
    o.on("--fsync", "write each dead letter to the disk before its result is printed", fsync);
    o.on("--replay", "the input is a file of dead letters: send them again with their keys", replay);
    o.with("--metrics", "[ADDRESS:]PORT", "serve metrics for Prometheus at GET /metrics",
           [this](std::string_view v) { metrics = v; });
    o.with("--export", "[ADDRESS:]PORT",
           "serve the last responses at /export?pageNum=1&pageSize=10: GET peeks, POST takes",
           [this](std::string_view v) { exported = v; });
    o.with("--export-keep", "N", "how many responses are kept (1000)",
           [this](std::string_view v) { kept_responses = number_in<std::size_t>(v, 1, 100'000); });
    o.on("--export-poll-by-get", "GET /export?type=poll takes them too", poll_by_get);
    o.with("--status", "[ADDRESS:]PORT", "serve a page for a browser: rates, endpoints, the latest failures",
           [this](std::string_view v) { status = v; });
    o.with("--status-admin", "FILE", "the page may send events again and discard them, with the token in FILE",
           [this](std::string_view v) { status_admin = v; });
    o.with("--allow-host", "NAME",
           "serve requests for that host; addresses, localhost and the machine's name are allowed",
           [this](std::string_view v) { allowed_hosts.emplace_back(v); });
    o.with("--log", "FORMAT", "log each attempt and result to stderr: logfmt or json", [this](std::string_view v) {
      log = one_of<again::log_format>(v, {{"logfmt", again::log_format::logfmt}, {"json", again::log_format::json}});
    });
    o.with("--log-level", "LEVEL", "info, warn or error (info)", [this](std::string_view v) {
      log_level = one_of<again::log_level>(
          v, {{"info", again::log_level::info}, {"warn", again::log_level::warn}, {"error", again::log_level::error}});
    });
    o.on("--log-keys", "log the Idempotency-Keys too", log_keys);
  }

  again::duration redelivery(std::string_view text) {
    uses_journal_ = redelivers_ = true;
    return duration_of(text);
  }
  void check_journal() {
    if ((nats.given() || leases_) && !(journal && is_nats_place(*journal)))
      throw usage_error{"--replicas, --lease and --journal-... need --journal nats://HOST,HOST/STREAM"};
    listen.check(journal.has_value(), replay);
    webhooks.set_schedule(durable, journal.has_value(), redelivers_);
    if (!journal) {
      if (acknowledge || uses_journal_)
        throw usage_error{"--acknowledge, --redeliver-... and --short-wait need --journal FILE"};
      return;
    }
    if (how.no_wait) throw usage_error{"--no-wait: a journal keeps real times; leave one of the two out"};
    if (order == again::ordering::per_endpoint)
      throw usage_error{"--order endpoint: a journal keeps the order of each key: use --order key"};
    durable.held = static_cast<std::size_t>(parallel) + static_cast<std::size_t>(queue);
    if (redelivers_ && durable.schedule.backoff.cap < durable.schedule.backoff.base)
      throw usage_error{"--redeliver-base must not exceed --redeliver-cap (1h unless given)"};
    if (const auto wrong = validate(durable)) throw usage_error{"--redeliver-...: " + *wrong};
  }

  void add_endpoint(const std::string& text, std::string name, const deliver_settings& by,
                    std::optional<again::cloudevents::filter> wants = {}) {
    auto url = again::http::parse_url(text);
    if (!url) throw usage_error{fmt::format("URL '{}': {}", shown_url(text), url.error().text())};
    again::http::request probe = again::http::request::post("/");
    if (!by.no_key) probe.idempotency_key("probe");
    for (const auto& [field, value] : by.how.headers) probe.headers().add(field, value);
    if (const auto bad = validate(probe)) throw usage_error{fmt::format("-H: {}", bad->text())};
    const again::http::client_options client = by.how.client_options();
    again::endpoint e{.url = *std::move(url),
                      .name = std::move(name),
                      .policy = by.how.policy,
                      .rules = client.rules,
                      .headers = client.headers,
                      .limits = client.limits};
    e.rules.successes = again::http::status_set::range(200, 299);  // a redirect has delivered nothing
    e.accept = by.accept;
    if (!exported) e.keep_body = 0;  // nobody asks for it
    e.max_redirects = by.follow_redirects ? 10 : 0;
    e.in_flight = by.endpoint_parallel > 0 ? by.endpoint_parallel : by.parallel;
    by.webhooks.prepare(e, !no_key, signers_);
    by.takes.prepare(e);
    endpoints.push_back(std::move(e));
    filters.add(std::move(wants));
    permissions.push_back(by.webhooks.permission());
  }

  // Members other than url and name are flags: {"attempts": 6, "H": ["X: 1", "Y: 2"]} is --attempts 6 -H 'X: 1' -H 'Y: 2'. They
  // override the command line.
  void read_endpoints(const std::vector<std::string>& words) {
    simdjson::dom::parser parser;
    simdjson::dom::element whole;
    const auto problem = parser.load(*endpoint_file).get(whole);
    if (problem == simdjson::IO_ERROR) throw usage_error{fmt::format("--endpoints: cannot read {}", *endpoint_file)};
    simdjson::dom::array list;
    if (problem != simdjson::SUCCESS || whole.get(list) != simdjson::SUCCESS) {
      throw usage_error{fmt::format("--endpoints: {} is no JSON array{}{}", *endpoint_file,
                                    problem != simdjson::SUCCESS ? ": " : "",
                                    problem != simdjson::SUCCESS ? simdjson::error_message(problem) : "")};
    }
    for (const simdjson::dom::element item : list) {
      simdjson::dom::object one;
      std::string_view url, name;
      if (item.get(one) != simdjson::SUCCESS || one["url"].get(url) != simdjson::SUCCESS)
        throw usage_error{"--endpoints: each one is an object with a url"};
      try {
        const auto named = one["name"].get(name);
        if (named != simdjson::SUCCESS && named != simdjson::NO_SUCH_FIELD) throw usage_error{"'name' is not a string"};
        std::optional<again::cloudevents::filter> wants;
        if (const auto filter = one["filter"]; filter.error() != simdjson::NO_SUCH_FIELD)
          wants = parse_filter(filter.value_unsafe());
        add_endpoint(std::string{url}, std::string{name}, deliver_settings{words, flags_of(one)}, std::move(wants));
      } catch (const usage_error& e) {
        throw usage_error{fmt::format("--endpoints: {}: {}", shown_url(url), e.what())};
      }
    }
  }
  static std::vector<std::string> flags_of(const simdjson::dom::object& one) {
    static constexpr std::array own{"attempts",
                                    "base",
                                    "cap",
                                    "factor",
                                    "backoff",
                                    "jitter",
                                    "attempt-timeout",
                                    "connect-timeout",
                                    "deadline",
                                    "max-body",
                                    "rules",
                                    "retry-statuses",
                                    "retry-methods",
                                    "retry-errors",
                                    "retry-after",
                                    "retry-after-max",
                                    "over-max",
                                    "accept",
                                    "follow-redirects",
                                    "H",
                                    "endpoint-parallel",
                                    "endpoint-rate",
                                    "endpoint-burst",
                                    "endpoint-budget",
                                    "disable-after",
                                    "ce-permission",
                                    "ce-permission-rate",
                                    "sign",
                                    "sign-env"};
    std::vector<std::string> flags;
    for (const auto& [name, value] : one) {
      if (name == "url" || name == "name" || name == "filter") continue;
      if (std::find(own.begin(), own.end(), name) == own.end())
        throw usage_error{fmt::format("'{}' is not an endpoint's own", name)};
      const std::string flag = (name.size() == 1 ? "-" : "--") + std::string{name};
      if (bool on = false; name == "follow-redirects" && value.get(on) == simdjson::SUCCESS) {
        if (on) flags.push_back(flag);
        continue;
      }
      const auto add = [&, is_field = name == "H"](simdjson::dom::element v) {
        if (!v.is_string() && !v.is_number())
          throw usage_error{fmt::format("'{}' is neither a string nor a number{}",
                                        flag.substr(flag.find_first_not_of('-')), is_field ? ", nor a list" : "")};
        flags.push_back(flag);
        flags.push_back(v.is_string() ? std::string{v.get_string().value_unsafe()} : simdjson::to_string(v));
      };
      if (simdjson::dom::array several; name == "H" && value.get(several) == simdjson::SUCCESS)
        for (const simdjson::dom::element v : several) add(v);
      else
        add(value);
    }
    return flags;
  }

  std::vector<std::string> urls_;
  signers signers_;
  bool leases_ = false, uses_journal_ = false, redelivers_ = false;
};

}  // namespace programs
