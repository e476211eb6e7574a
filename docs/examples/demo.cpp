// SPDX-License-Identifier: MIT
// demo: delivers some hundred events to a misbehaving server and proves that each has one result and that no send was hidden.
#include "event.hpp"
#include "line_source.hpp"
#include "options.hpp"
#include "outcome.hpp"
#include "progress.hpp"

#include "support/misbehaving_server.hpp"

#include <again/again.hpp>
#include <again/format.hpp>
#include <again/policy/explain.hpp>
#include <again/sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace {

using namespace programs;
using namespace std::chrono_literals;
namespace bad = again_test;

constexpr auto persistent = again::checked({
    .attempts = 5,
    .backoff = again::exponential(40ms, 800ms),
    .attempt_timeout = 400ms,
    .deadline = 6s,
});
constexpr int at_once = 24;

// ── the faults of the server ──

/// A fault: what the n-th request for an event gets, the last one again and again.
struct fault {
  std::string_view name;
  std::vector<bad::step> steps;
};

bad::step accepted() { return bad::respond(202); }

std::vector<fault> faults() {
  using namespace bad;
  return {
      {"503, Retry-After: 1", {respond(503, {{"Retry-After", "1"}}), accepted()}},
      {"connection reset", {reset(), accepted()}},
      {"500, then 502", {respond(500), respond(502), accepted()}},
      {"silence", {hang(), accepted()}},
      {"half a response", {truncated("{\"id\":", 40), accepted()}},
      {"closed without a word", {bad::close(), bad::close(), accepted()}},
      {"429 with a date", {respond(429, {{"Retry-After", "@now+1"}}), accepted()}},
      {"a response that drips", {drip("taken, but slowly", 12ms)}},
      {"silence in the body", {stall_body("{\"id\":", 40), respond(503), accepted()}},
      {"422, for good", {respond(422)}},
      {"503 for ever", {respond(503)}},
      {"garbage", {garbage()}},
      {"a response in slices", {slice(accepted(), 1ms)}},
  };
}

/// Every third event meets a fault, each kind in turn.
const fault* fault_of(const std::vector<fault>& all, std::size_t index) {
  return index % 3 == 1 ? &all[index / 3 % all.size()] : nullptr;
}

// ── the results ──

struct delivered {
  std::size_t line = 0;
  outcome result;
};

class record_keeper : public again::delivery_observer {
 public:
  void began() { ++progress_.running; }
  void attempted(const again::event&, std::string_view, const again::attempt_record& record) override {
    if (record.attempt > 1) ++progress_.retries;
    progress_.draw();
  }
  void result(std::size_t line, again::delivery d) {
    --progress_.running;
    ++(d ? progress_.delivered : progress_.failed);
    results.emplace(line, delivered{line, outcome_of(std::move(d.outcomes.at(0)))});
    progress_.draw();
  }
  void clear() { progress_.clear(); }
  std::multimap<std::size_t, delivered> results;  // by line; a multimap, to notice a second result for one line

 private:
  message_log log_;
  progress progress_{0, log_};
};

/// Delivers lines one after another.
again::task<> deliver_lines(line_source& source, const std::string& path, event_parser& parser, again::sink& to,
                            record_keeper& record) {
  for (;;) {
    auto line = co_await source.next();
    if (!line) co_return;
    auto parsed = parser.parse(std::move(line->text), {path, line->number, line->number});
    if (!parsed) throw usage_error{fmt::format("line {}: {}", line->number, parsed.error())};
    again::event e{std::move(parsed->id), std::move(parsed->body)};
    e.headers.add("Content-Type", parsed->content_type);
    e.key = std::move(parsed->key);
    record.began();
    again::delivery d = co_await to.deliver(std::move(e));
    record.result(line->number, std::move(d));
  }
}

again::task<> deliver_all(line_source& source, const std::string& path, event_parser& parser, again::sink& to,
                          record_keeper& record) {
  const again::context& here = co_await again::get_context();
  again::scope workers{here};
  for (int i = 0; i < at_once; ++i) workers.spawn(deliver_lines(source, path, parser, to, record));
  co_await workers.join();
  co_await to.close(again::duration::zero());
}

double seconds(again::duration d) { return std::chrono::duration<double>(d).count(); }

/// One event on a time axis: attempts as blocks, waits as dots.
void draw_timeline(const colours& paint, std::string_view title, const outcome& o) {
  constexpr std::size_t width = 58;
  const double all = std::max(seconds(o.elapsed), 1e-6);
  const auto column = [&](again::duration at) {
    return std::min(width, static_cast<std::size_t>(std::max(0.0, seconds(at)) / all * static_cast<double>(width)));
  };
  std::string axis, words;
  std::size_t at = 0;
  for (const attempt& a : o.trace) {
    const again::attempt_record& r = a.record;
    const std::size_t begin = std::max(at, column(r.began));
    std::size_t end = std::max(begin + 1, column(r.began + r.took));
    end = std::min(end, width + o.trace.size());
    std::string waited, tried;
    for (; at < begin; ++at) waited += "·";
    for (; at < end; ++at) tried += "█";
    axis += paint.dim(waited) + (r.ok ? paint.green(tried) : paint.red(tried));
    const std::string what = r.ok || r.name == "status" ? fmt::to_string(r.code) : std::string{r.name};
    words += r.ok ? paint.green(what) : paint.red(what);
    if (!r.last)
      words += paint.dim(
          fmt::format(" … {}{} … ", again::detail::rounded(r.wait), r.by == again::wait_by::server ? " as asked" : ""));
  }
  fmt::print("  {:<24}{}\n  {:<24}{}  {}\n", title, axis, "", words,
             o.ok ? paint.green(fmt::format("delivered in {}", again::detail::rounded(o.elapsed)))
                  : paint.yellow(fmt::format("given up: {}", *o.reason)));
}

bool proof(const colours& paint, bool holds, const std::string& text) {
  fmt::print("  {} {}\n", holds ? paint.green("✓") : paint.red("✗ NOT TRUE:"), text);
  return holds;
}

int demo(const std::string& path) {
  const colours paint{STDOUT_FILENO};
  event_parser parser{std::size_t{1} << 20U};
  std::vector<std::string> keys;
  {
    std::ifstream file{path};
    if (!file) throw usage_error{"cannot read " + path};
    std::size_t number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      const auto e = parser.parse(std::move(line), {path, number, number});
      keys.push_back(e ? again::http::idempotency_key_value(e->key) : "");
    }
  }
  std::unordered_map<std::string, std::size_t> index_of;
  for (std::size_t i = 0; i < keys.size(); ++i) index_of.emplace(keys[i], i);

  const std::vector<fault> plan = faults();
  bad::server_options options;
  options.key = [](const bad::seen_request& r) {
    const std::string* const key = r.header("Idempotency-Key");
    return key != nullptr ? *key : std::string{};
  };
  bad::misbehaving_server server{[&](const bad::seen_request& r, int nth) {
                                   const auto found = index_of.find(r.key);
                                   const fault* const f =
                                       found == index_of.end() ? nullptr : fault_of(plan, found->second);
                                   if (f == nullptr) return accepted();
                                   return f->steps[std::min(static_cast<std::size_t>(nth), f->steps.size()) - 1];
                                 },
                                 options};

  fmt::print("{}\n\n", paint.bold(fmt::format("{} events to a server that misbehaves on purpose", keys.size())));
  fmt::print("  policy  {}\n  server  {}: every third event meets one of {} faults\n\n", persistent, server.url(),
             plan.size());
  std::fflush(stdout);

  again::run_loop loop;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw usage_error{"cannot read " + path};
  const auto start = std::chrono::steady_clock::now();
  std::multimap<std::size_t, delivered> results;
  {
    line_source source{loop, file, {.is_file = true}};
    record_keeper record;
    again::endpoint events;
    events.url = *again::http::parse_url(server.url("/events"));
    events.policy = persistent;
    events.in_flight = at_once;
    again::sink_options bounds;
    bounds.in_flight = at_once;
    bounds.observer = &record;
    again::sink to{{events}, bounds};
    source.start();
    again::sync_wait(loop, deliver_all(source, path, parser, to, record));
    record.clear();
    results = std::move(record.results);
  }
  ::close(file);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  fmt::print("{}   {} an attempt   {} a wait   {}\n\n", paint.bold("Some of them"), paint.green("█"), paint.dim("·"),
             paint.dim("each on its own time scale"));
  for (std::size_t f = 0; f < plan.size(); ++f) {
    const auto found = results.find(3 * f + 2);  // the first event that met it; lines count from 1
    if (found != results.end()) draw_timeline(paint, plan[f].name, found->second.result);
  }

  std::size_t ok = 0, retried_ok = 0, attempts = 0, left = 0;  // left: at least a byte of it went out
  std::map<std::string_view, std::size_t> reasons;
  std::map<std::string, std::size_t> per_key;
  for (const auto& [line, d] : results) {
    ok += d.result.ok ? 1U : 0U;
    retried_ok += d.result.ok && d.result.attempts > 1 ? 1U : 0U;
    attempts += static_cast<std::size_t>(d.result.attempts);
    const auto sent = static_cast<std::size_t>(std::ranges::count_if(d.result.trace, [](const attempt& a) {
      // On a slow machine an attempt may time out before it has a connection.
      return a.record.ok || a.record.reach != again::reach::not_sent;
    }));
    left += sent;
    if (d.result.reason) ++reasons[name(*d.result.reason)];
    if (sent != 0) per_key[keys[line - 1]] += sent;
  }
  fmt::print("\n{}\n\n", paint.bold("All of them"));
  fmt::print("  {} delivered, {} of them only because they were sent again\n", paint.green(fmt::format("{:>5}", ok)),
             retried_ok);
  for (const auto& [reason, count] : reasons)
    fmt::print("  {} given up: {}\n", paint.yellow(fmt::format("{:>5}", count)), reason);
  fmt::print("  {:>5} requests in {:.1f} s, {} at a time\n", attempts, took, at_once);

  fmt::print("\n{}\n\n", paint.bold("Proof"));
  bool holds = true;
  bool once = results.size() == keys.size();
  for (std::size_t line = 1; line <= keys.size(); ++line) once = once && results.count(line) == 1;
  holds &= proof(paint, once, fmt::format("every one of {} events has exactly one result", keys.size()));
  const bool equal =
      server.wait_until([&](const bad::tally& t) { return t.requests >= left; }, 2s) && server.requests_seen() == left;
  std::string counts =
      fmt::format("the server saw {} requests, the results speak of {} attempts", server.requests_seen(), attempts);
  if (left != attempts) counts += fmt::format(", {} of which never went out", attempts - left);
  holds &= proof(paint, equal, counts);
  bool each = true;
  for (const auto& [key, seen] : server.requests_by_key()) each = each && per_key.contains(key) && per_key[key] == seen;
  holds &= proof(paint, each && server.requests_by_key().size() == per_key.size(),
                 "and so it is for each event alone: none was sent in secret");
  return holds ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("demo", [&] { return demo(argc > 1 ? argv[1] : DEMO_EVENTS); });
}
