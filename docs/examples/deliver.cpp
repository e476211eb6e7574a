// SPDX-License-Identifier: MIT
// deliver URL...: one JSON event per line in, one JSON result per event out. A front for again::sink.
#include "deliver_options.hpp"
#include "descriptor_limit.hpp"
#include "endpoint_command.hpp"
#include "endpoint_permission.hpp"
#include "event_reader.hpp"
#include "input_file.hpp"
#include "interrupts.hpp"
#include "journal_command.hpp"
#include "journal_run.hpp"
#include "line_source.hpp"
#include "listen_server.hpp"
#include "message_log.hpp"
#include "pages.hpp"
#include "reporter.hpp"
#include "responses.hpp"
#include "result_output.hpp"
#include "stop_wait.hpp"

#include <again/again.hpp>
#include <again/format.hpp>
#include <again/policy/explain.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using namespace programs;

/// Delivers lines one after another: the next line is taken when the result of this one is on its way out. `text`: for its results, with
/// the capacity that a brief one needs, so that no line is taken for which there is no room.
again::task<> deliver_lines(std::string text, line_source& source, event_reader& events, sink& to,
                            const deliver_settings& s, again::dead_letter_file* letters, reporter& report,
                            result_output& results) {
  for (;;) {
    auto line = co_await source.next();
    if (!line) co_return;
    const line_record from{line->number, line->bytes};
    bool began = false, ok = false;
    try {
      auto e = events.read(*std::move(line));
      if (!e) {
        report.refuse(from, e.error());
        continue;
      }
      report.began();
      began = true;
      std::optional<again::delivery> d;
      if (s.filters && s.filters.endpoints_for(*e).empty()) {
        d.emplace(not_wanted(*std::move(e), letters));
        report.finished(*d);
      } else {
        d.emplace(co_await to.deliver(*std::move(e)));
      }
      ok = report.result(text, from, *d);
    } catch (const std::exception& problem) {  // no memory; an accepted event has its dead letter
      if (!began) {
        report.refuse(from, problem.what());
        continue;
      }
      report.interrupted(text, from, problem.what());
    }
    const bool queued = co_await results.put(text, reporter::tag_of(from, ok));
    if (!queued) report.without_result(from.number, ok);
  }
}

again::task<> redraw(reporter& report) {
  bool on = true;
  while (on) {
    report.draw();
    on = co_await again::sleep_for(std::chrono::milliseconds{100});
  }
}

/// Without memory it is tried again: somewhere an event ends, and what it held is free.
again::task<> close_sink(sink& to, again::duration grace) {
  for (bool closed = false; !closed;) {
    try {
      co_await to.close(grace);
      closed = true;
    } catch (const std::bad_alloc&) {}
    if (!closed) co_await again::yield{};
  }
}

/// Closes the sink after the first signal. Accepted events may finish until the second signal or the end of the grace period.
again::task<> close_when_asked(sink& to, again::inplace_stop_token asked) {
  const bool now = co_await stop_wait{asked};
  if (now) co_await close_sink(to, again::forever);
}

again::task<> run(line_source& source, event_reader& events, sink& to, const deliver_settings& s,
                  again::dead_letter_file* letters, reporter& report, result_output& results, status_page* status,
                  again::inplace_stop_token asked) {
  const again::context& here = co_await again::get_context();
  again::scope workers{here}, beside{here};
  if (report.on_terminal() && !s.how.no_wait) beside.spawn(redraw(report));
  beside.spawn(close_when_asked(to, asked));
  if (status != nullptr) beside.spawn(status->run());
  for (int i = 0; i < s.parallel + s.queue; ++i) {
    std::string text;
    text.reserve(output_writer::reserved);
    workers.spawn(deliver_lines(std::move(text), source, events, to, s, letters, report, results));
  }
  source.start();  // last: a start that fails above must not lose lines that were already read
  co_await workers.join();
  beside.request_stop();
  co_await beside.join();
  co_await close_sink(to, again::duration::zero());
}

again::task<> run_over(journal_delivery& journal, journal_delivery::parts p, again::inplace_stop_token asked,
                       again::inplace_stop_token cancel) {
  co_await journal.run(p, asked, cancel);
  co_await close_sink(p.to, again::duration::zero());
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

/// The schedule and the bounds of each endpoint; endpoints that have the same ones share them.
std::string explained(const deliver_settings& s) {
  struct group {
    again::policy policy;
    std::string bounds, names;
  };
  std::vector<group> groups;
  for (const again::endpoint& at : s.endpoints) {
    std::string bounds = endpoint_options::explained(at);
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const group& g) { return g.policy == at.policy && g.bounds == bounds; });
    if (same == groups.end())
      groups.push_back({at.policy, std::move(bounds), shown_name(at)});
    else
      same->names += ", " + shown_name(at);
  }
  if (groups.empty()) groups.push_back({s.how.policy, "", ""});
  std::string text;
  for (const auto& [policy, bounds, names] : groups) {
    if (groups.size() > 1) text += fmt::format("{}{}:\n", text.empty() ? "" : "\n", printable(names));
    text += fmt::format("{}\n{}{}", policy, again::explain(policy), bounds);
  }
  if (s.webhooks.standard_schedule)
    text += fmt::format("\nthese deliveries, by the journal:\n{}\n{}", s.durable.schedule,
                        again::explain(s.durable.schedule));
  return text;
}

int program(int argc, char** argv) {
  const std::vector<std::string> words{argv + 1, argv + argc};
  if (is_journal_command(words)) return journal_command(words);
  if (is_endpoint_command(words)) return endpoint_command(words);
  deliver_settings s{words};
  if (!s.explain || s.names_endpoints()) s.find_endpoints(words);
  if (s.explain) {
    put_or_throw(explained(s));
    return 0;
  }
  const bool listens = s.listen.where.has_value();  // then only a file that is named is read
  const input_file input{listens && !s.input ? std::optional<std::string>{"/dev/null"} : s.input};
  const std::unique_ptr<again::dead_letter_file> dead = dead_letters(s, input);

  const std::unique_ptr<program_loop> loop = program_loop::make(s.how.transport, s.how.no_wait, s.how.seed);
  again::inplace_stop_source closing, cancel;
  block_interrupts();
  std::unique_ptr<journal_delivery> journal;
  if (s.journal) journal = journal_delivery::open(s);
  message_log log;
  const auto shortage = shortage_of_descriptors(s.most_connections(), raise_descriptor_limit());
  if (shortage) log.say("deliver: {}", *shortage);
  responses kept{s.kept_responses};
  event_reader events{input, s};
  reporter report{s, input.size(), log, dead.get(), s.exported ? &kept : nullptr};
  line_source source{
      loop->get(), input.fd(), {.begin = input.begin(), .is_file = input.is_regular(), .longest = s.line_bound()}};
  const auto stop_reading = [&source, &closing] {
    source.close();
    closing.request_stop();
  };
  result_output results{loop->get(), STDOUT_FILENO, [&](int problem) {
                          report.output_failed(problem, results.writer());
                          stop_reading();
                        }};
  const interrupts signals{std::chrono::duration_cast<std::chrono::milliseconds>(s.grace), stop_reading,
                           [&source, &cancel, &results] {
                             source.abandon();
                             cancel.request_stop();
                             results.writer().hurry();
                           }};
  const std::unique_ptr<any_transport> transport = loop->transport(s.how.transport_for(s.most_connections()));
  loop->run(ask_permissions(*transport, s, log), closing.get_token());
  again::sink_options bounds = s.sink_options();
  if (!journal) bounds.dead_letters = dead.get();  // else a letter is for the end of all deliveries of an event
  journal_watch watch;
  const std::unique_ptr<status_page> status = status_page_of(s, report, watch);
  bounds.observer = &report;
  if (status) bounds.observer = &status->board();
  sink to{*transport, s.endpoints, std::move(bounds)};
  if (status) serve_status(*status, to, s.endpoints.size(), log);
  const pages served{s, to, watch, kept, log};
  if (journal) {
    const auto listener = listens ? open_listener(s, log) : nullptr;
    journal_delivery::parts parts{source,       events,         to,           s,
                                  report,       results,        log,          dead.get(),
                                  stop_reading, listener.get(), status.get(), s.metrics || s.status ? &watch : nullptr};
    loop->run(run_over(*journal, std::move(parts), closing.get_token(), cancel.get_token()), {});
  } else {
    loop->run(run(source, events, to, s, dead.get(), report, results, status.get(), closing.get_token()),
              cancel.get_token());
  }

  results.writer().drain();
  if (const int problem = results.writer().error()) report.output_failed(problem, results.writer());
  if (source.problem() != 0) log.account("deliver: the input cannot be read: {}", std::strerror(source.problem()));
  if (to.dead_letters_lost() > 0) log.account("deliver: {} dead letters LOST", to.dead_letters_lost());
  const bool complete = !journal || journal->complete();
  const bool all_read = listens && !s.input;  // a signal is the end that this was made for
  return report.all_delivered() && complete && source.problem() == 0 && (all_read || !source.closed()) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("deliver", [&] { return program(argc, argv); });
}
