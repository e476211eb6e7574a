// SPDX-License-Identifier: MIT
// deliver URL...: one JSON event per line in, one JSON result per event out. A front for again::sink.
#include "deliver_options.hpp"
#include "event.hpp"
#include "input_file.hpp"
#include "interrupts.hpp"
#include "line_source.hpp"
#include "outcome.hpp"
#include "progress.hpp"
#include "replay.hpp"
#include "responses.hpp"
#include "status_server.hpp"
#include "stop_wait.hpp"

#include <again/again.hpp>
#include <again/format.hpp>
#include <again/metrics.hpp>
#include <again/policy/explain.hpp>
#include <again/sink.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery_log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace programs;

/// What is kept of a line until its event has its result.
struct line_record {
  std::size_t number;
  std::uint64_t bytes;
};

/// Prints results, reports refused lines, and counts both. Used by the loop's thread alone.
class reporter : public again::delivery_observer {
 public:
  reporter(line_source& source, std::uint64_t total, const deliver_settings& s, again::dead_letter_file* dead,
           responses* kept)
      : source_{source}, progress_{total}, settings_{s}, dead_{dead}, responses_{kept} {
    if (s.log) {
      const auto write = [this](again::log_level, std::string_view line) { say(std::string{line}); };
      log_ = std::make_unique<again::delivery_log>(*s.log, write, s.log_level, s.log_keys);
    }
  }

  void refuse(const line_record& line, const std::string& why) {
    ++progress_.refused;
    progress_.done += line.bytes;
    say(fmt::format("deliver: line {}: not delivered: {}", line.number, why));
  }
  void began() { ++progress_.running; }
  void attempted(const again::event& e, std::string_view endpoint, const again::attempt_record& record) override {
    if (record.attempt > 1) ++progress_.retries;
    if (settings_.how.verbose) say(fmt::format("{}: {}", e.id, record));
    if (log_) log_->attempted(e, endpoint, record);
    draw();
  }
  void finished(const again::delivery& d) override {
    if (log_) log_->finished(d);
    if (responses_ != nullptr) responses_->keep(d);
    if (d.dead_letter == again::dead_letter::lost)
      say(fmt::format("deliver: {}: its dead letter is LOST: {}", d.event.id, dead_->problem()));
  }
  /// The final result of one event.
  void result(const line_record& from, again::delivery d) {
    --progress_.running;
    progress_.done += from.bytes;
    ++(d ? progress_.delivered : progress_.failed);
    std::vector<outcome> each;
    std::vector<std::string_view> endpoints;
    for (again::endpoint_outcome& o : d.outcomes) {
      endpoints.push_back(o.endpoint);
      each.push_back(outcome_of(std::move(o)));
    }
    const auto failed = std::find_if(each.begin(), each.end(), [](const outcome& o) { return !o.ok; });
    outcome whole = failed != each.end() ? *failed
                    : !each.empty()      ? each.front()
                                         : not_sent(again::http::error_kind::cancelled,
                                                    d.not_begun.value_or(again::stop_reason::cancelled_before_start), {});
    whole.attempts = 0;
    for (const outcome& o : each) whole.attempts += o.attempts;

    std::string text;
    json_object line{text};
    line.text("id", d.event.id);
    add_to(line, whole);
    line.number("line", from.number);
    add_trace(line, text, whole);
    if (settings_.endpoints.size() > 1) {
      line.array("endpoints", each.size(), [&](std::size_t i) {
        json_object part{text};
        part.text("endpoint", endpoints[i]);
        add_to(part, each[i]);
        add_trace(part, text, each[i]);
        part.end();
      });
    }
    if (d.dead_letter != again::dead_letter::none) line.text("dead_letter", name(d.dead_letter));
    line.end();
    write(text + '\n');
    draw();
  }
  void draw() { progress_.draw(); }
  bool on_terminal() const noexcept { return progress_.shown(); }
  bool all_delivered() const noexcept { return progress_.failed == 0 && progress_.refused == 0 && !output_failed_; }

 private:
  void say(const std::string& text) {
    progress_.clear();
    complain(text);
  }
  void write(const std::string& text) {
    progress_.clear();
    if (put(text) || output_failed_) return;
    output_failed_ = true;
    say(fmt::format("deliver: results cannot be written: {}; reading no further", std::strerror(errno)));
    source_.close();
  }

  line_source& source_;
  progress progress_;
  const deliver_settings& settings_;
  again::dead_letter_file* dead_;
  responses* responses_;
  std::unique_ptr<again::delivery_log> log_;
  bool output_failed_ = false;
};

/// Makes an event for the sink from a line of input, or says why the line is refused.
again::expected<again::event, std::string> event_of(input_line&& line, const input_file& input,
                                                    const deliver_settings& s) {
  switch (line.problem) {
    case line_problem::none: break;
    case line_problem::cut_off: return again::unexpected<std::string>{"cut off: reading ended inside of it"};
    case line_problem::no_memory: return again::unexpected<std::string>{"no memory for it"};
    case line_problem::too_long:
      return again::unexpected<std::string>{fmt::format("oversized: more than {} bytes", s.line_bound())};
  }
  if (s.replay) {
    auto e = parse_dead_letter(line.text);
    if (!e) return e;
    for (const std::string& name : e->only) {
      const bool known = std::any_of(s.endpoints.begin(), s.endpoints.end(),
                                     [&](const again::endpoint& at) { return shown_name(at) == name; });
      if (!known) return again::unexpected<std::string>{fmt::format("no endpoint is called '{}'", name)};
    }
    return e;
  }
  const line_position at{input.name(), input.is_regular() ? line.offset : line.number, line.number};
  auto parsed = parse_event(std::move(line.text), at);
  if (!parsed) return again::unexpected<std::string>{std::move(parsed.error())};
  again::event e{std::move(parsed->id), std::move(parsed->body)};
  const bool typed = s.endpoints.front().headers.contains("Content-Type");  // and so all of them
  if (!typed) e.headers.add("Content-Type", parsed->content_type);
  e.key = std::move(parsed->key);
  e.order_key = std::move(parsed->order_key);
  return e;
}

/// Delivers lines one after another: the result of a line is printed before the next line is taken.
again::task<> deliver_lines(line_source& source, const input_file& input, again::sink& to, const deliver_settings& s,
                            reporter& report) {
  for (;;) {
    auto line = co_await source.next();
    if (!line) co_return;
    const line_record from{line->number, line->bytes};
    auto e = event_of(*std::move(line), input, s);
    if (!e) {
      report.refuse(from, e.error());
      continue;
    }
    report.began();
    again::delivery d = co_await to.deliver(*std::move(e));
    report.result(from, std::move(d));
  }
}

again::task<> redraw(reporter& report) {
  bool on = true;
  while (on) {
    report.draw();
    on = co_await again::sleep_for(std::chrono::milliseconds{100});
  }
}

/// Closes the sink after the first signal. Accepted events may finish until the second signal or the end of the grace period.
again::task<> close_when_asked(again::sink& to, again::inplace_stop_token asked) {
  const bool now = co_await stop_wait{asked};
  if (now) co_await to.close(again::forever);
}

again::task<> run(line_source& source, const input_file& input, again::sink& to, const deliver_settings& s,
                  reporter& report, again::inplace_stop_token asked) {
  const again::context& here = co_await again::get_context();
  again::scope workers{here}, beside{here};
  if (report.on_terminal() && !s.how.no_wait) beside.spawn(redraw(report));
  beside.spawn(close_when_asked(to, asked));
  for (int i = 0; i < s.parallel + s.queue; ++i) workers.spawn(deliver_lines(source, input, to, s, report));
  co_await workers.join();
  beside.request_stop();
  co_await beside.join();
  co_await to.close(again::duration::zero());
}

std::unique_ptr<again::dead_letter_file> dead_letters(const deliver_settings& s, const input_file& input) {
  if (!s.dead_letters) {
    if (s.fsync) throw usage_error{"--fsync needs --dead-letters FILE"};
    return nullptr;
  }
  if (input.is(*s.dead_letters))
    throw usage_error{"--dead-letters: is the file that is read, which would never end; name another"};
  try {
    return std::make_unique<again::dead_letter_file>(*s.dead_letters,
                                                     s.fsync ? again::durability::disk : again::durability::system);
  } catch (const std::system_error& e) { throw usage_error{fmt::format("--dead-letters: {}", e.what())}; }
}

/// Serves the pages named on the command line for as long as it lives.
class pages {
 public:
  pages(const deliver_settings& s, const again::sink& to, responses& kept) {
    using page = status_server::page;
    if (s.metrics) {
      open("--metrics", *s.metrics, s, "/metrics", {}, [&to](const page_request&) {
        return page{200, again::metrics_page{}.add(to).text(), std::string{again::metrics_page::content_type}};
      });
    }
    if (s.exported) {
      open("--export", *s.exported, s, "/export", {"POST", "DELETE"},
           [&kept, by_get = s.poll_by_get](const page_request& r) {
             responses::page p = exported(kept, r, by_get);
             return page{p.status, std::move(p.body), "application/json"};
           });
    }
  }

 private:
  /// GET and HEAD are safe (RFC 9110 9.2.1) and only look; POST and DELETE take. `by_get`: so does GET with type=poll.
  static responses::page exported(responses& kept, const page_request& r, bool by_get) {
    const bool safe = r.method == "GET" || r.method == "HEAD";
    const std::string type = r.parameter("type").value_or(safe ? "peek" : "poll");
    if (type != "peek" && type != "poll") return responses::refused(400, "type: neither peek nor poll");
    if (!safe && type == "peek") return responses::refused(400, "type: " + r.method + " takes the items; GET peeks");
    if (safe && type == "poll" && !by_get)
      return responses::refused(405, "type: poll takes the items: use POST, or start with --export-poll-by-get");
    const bool takes = type == "poll" && r.method != "HEAD";
    return kept.get(takes ? responses::access::take : responses::access::look, r.parameter("pageNum"),
                    r.parameter("pageSize"));
  }

  template <class Make> void open(const char* flag, const std::string& where, const deliver_settings& s,
                                  const char* path, std::vector<std::string> methods, Make make) {
    try {
      auto& server = servers_.emplace_back(std::make_unique<status_server>(where, s.allowed_hosts));
      server->serve(path, std::move(methods), std::move(make));
      const int port = server->start();
      complain(fmt::format("deliver: {} is http://{}:{}{}", flag, server->host(), port, path));
    } catch (const usage_error& e) { throw usage_error{fmt::format("{}: {}", flag, e.what())}; }
  }
  std::vector<std::unique_ptr<status_server>> servers_;
};

/// The schedule of each endpoint; endpoints with equal policies share one.
std::string explained(const deliver_settings& s) {
  std::vector<std::pair<again::policy, std::string>> groups;
  for (const again::endpoint& at : s.endpoints) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&at](const auto& g) { return g.first == at.policy; });
    if (same == groups.end())
      groups.emplace_back(at.policy, shown_name(at));
    else
      same->second += ", " + shown_name(at);
  }
  if (groups.empty()) groups.emplace_back(s.how.policy, "");
  std::string text;
  for (const auto& [policy, names] : groups) {
    if (groups.size() > 1) text += fmt::format("{}{}:\n", text.empty() ? "" : "\n", printable(names));
    text += fmt::format("{}\n{}", policy, again::explain(policy));
  }
  return text;
}

int program(int argc, char** argv) {
  const std::vector<std::string> words{argv + 1, argv + argc};
  deliver_settings s{words};
  if (!s.explain || s.names_endpoints()) s.find_endpoints(words);
  if (s.explain) {
    put_or_throw(explained(s));
    return 0;
  }
  const input_file input{s.input};
  const std::unique_ptr<again::dead_letter_file> dead = dead_letters(s, input);

  again::virtual_clock pretend{again::system_clocks().wall_now()};
  again::run_loop loop{s.how.no_wait ? static_cast<again::clock&>(pretend) : again::system_clocks(),
                       s.how.seed ? *s.how.seed : again::fresh_seed()};
  again::inplace_stop_source closing, cancel;
  block_interrupts();
  responses kept{s.kept_responses};
  line_source source{
      loop, input.fd(), {.begin = input.begin(), .is_file = input.is_regular(), .longest = s.line_bound()}};
  reporter report{source, input.size(), s, dead.get(), s.exported ? &kept : nullptr};
  again::sink_options bounds = s.sink_options();
  bounds.dead_letters = dead.get();
  bounds.observer = &report;
  again::http::httplib_options transport;
  transport.cacert = s.how.cacert;
  again::sink to{s.endpoints, std::move(bounds), std::move(transport)};
  const pages served{s, to, kept};
  const interrupts signals{std::chrono::duration_cast<std::chrono::milliseconds>(s.grace),
                           [&source, &closing] {
                             source.close();
                             closing.request_stop();
                           },
                           [&source, &cancel] {
                             source.abandon();
                             cancel.request_stop();
                           }};
  source.start();  // last: a start that fails above must not lose lines that were already read
  again::sync_wait(loop, run(source, input, to, s, report, closing.get_token()), cancel.get_token());

  if (source.problem() != 0)
    complain(fmt::format("deliver: the input cannot be read: {}", std::strerror(source.problem())));
  if (to.dead_letters_lost() > 0) complain(fmt::format("deliver: {} dead letters LOST", to.dead_letters_lost()));
  return report.all_delivered() && source.problem() == 0 && !source.closed() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("deliver", [&] { return program(argc, argv); });
}
