// SPDX-License-Identifier: MIT
#include "journal_delivery.hpp"

#include "options.hpp"
#if defined(PROGRAMS_HAVE_SQLITE)
#include "journal_run.hpp"

#include <again/journal.hpp>
#include <again/sqlite.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
#endif

namespace programs {

#if !defined(PROGRAMS_HAVE_SQLITE)

void require_sqlite() {
  throw usage_error{"this program was built without SQLite: install it (Debian: libsqlite3-dev), and build anew"};
}
std::unique_ptr<journal_delivery> journal_delivery::open(const std::string&) {
  require_sqlite();
  return nullptr;
}

#else

void require_sqlite() {}

namespace {

using namespace std::chrono_literals;
using again::journal::event_state;

/// The lines of the events that this run has read, until they have their results. Of very many the oldest are forgotten: their results
/// have no `line`.
class read_lines {
 public:
  void add(const std::string& id, const line_record& line) {
    if (!lines_.emplace(id, line).second) return;
    order_.push_back(id);
    if (order_.size() <= most) return;
    lines_.erase(order_.front());
    order_.pop_front();
  }
  line_record take(const std::string& id) {
    const auto at = lines_.find(id);
    if (at == lines_.end()) return {0, 0};
    const line_record line = at->second;
    lines_.erase(at);
    return line;
  }

 private:
  static constexpr std::size_t most = 65'536;
  std::unordered_map<std::string, line_record> lines_;
  std::deque<std::string> order_;  // those that were taken are among them
};

/// The sink as the durable sink uses it: events have the ids that their producers gave them.
class plain_sink {
 public:
  plain_sink(sink& to, reporter& report) : to_{to}, report_{report} {}
  bool closed() const noexcept { return to_.closed(); }
  again::task<again::delivery> deliver(again::event e) {
    const running_mark mark{report_};
    e.id = shown_id(e.id);
    co_return co_await to_.deliver(std::move(e));
  }

 private:
  class running_mark {
   public:
    explicit running_mark(reporter& r) noexcept : report_{r} { report_.began(); }
    running_mark(const running_mark&) = delete;
    running_mark& operator=(const running_mark&) = delete;
    ~running_mark() { report_.paused(); }

   private:
    reporter& report_;
  };
  sink& to_;
  reporter& report_;
};

/// Says that the journal fails, and that it works again. A sentence that repeats itself comes every ten seconds.
class failure_teller {
 public:
  explicit failure_teller(message_log& log) : log_{log} {}
  void failed(const again::journal::error& why) {
    const auto now = std::chrono::steady_clock::now();
    const bool lasting = !again::journal::may_pass(why.kind);
    if (why.text == said_ && now < next_) return;
    said_ = why.text;
    next_ = now + 10s;
    log_.account("deliver: journal: {} ({})", why.text,
                 lasting ? "reading no further" : "tried again; what was taken goes on");
  }
  void works() {
    if (!std::exchange(said_, {}).empty()) log_.account("deliver: journal: it works again");
  }

 private:
  message_log& log_;
  std::string said_;
  std::chrono::steady_clock::time_point next_{};
};

/// Prints results, writes dead letters, and complains.
class run_observer final : public again::durable_observer {
 public:
  run_observer(const journal_delivery::parts& p, read_lines& lines, failure_teller& failures)
      : p_{p}, lines_{lines}, failures_{failures} {}

  again::task<> ended(again::event_end how) override {
    if (p_.status != nullptr) p_.status->board().ended(how);
    if (how.state == event_state::waiting) co_return;
    const line_record from = lines_.take(how.record.event.id);
    auto letter = again::dead_letter::none;
    if (how.state == event_state::dead && p_.dead != nullptr) letter = write_letter(how);
    std::string text;
    text.reserve(output_writer::reserved);
    const bool ok = p_.report.result(text, from, how, letter);
    const bool queued = co_await p_.results.put(text, reporter::tag_of(from, ok));
    if (!queued) p_.report.without_result(from.number, ok);
  }
  void store_failed(const again::journal::error& why) override {
    failures_.failed(why);
    if (again::journal::may_pass(why.kind) || why.kind == again::journal::error_kind::cancelled) return;
    broken = true;
    p_.stop_reading();
  }

  bool broken = false;  // the journal fails for good

 private:
  again::dead_letter write_letter(const again::event_end& how) {
    const bool written = p_.dead->write(tells_all(how) ? *how.last : letter_of(how), again::system_clocks().wall_now());
    if (written) return again::dead_letter::written;
    p_.log.account("deliver: {}: its dead letter could not be written: {}; the journal has it",
                   shown_id(how.record.event.id), p_.dead->problem());
    return again::dead_letter::lost;
  }
  /// Whether the last delivery names all endpoints that have not taken the event.
  static bool tells_all(const again::event_end& how) {
    if (how.last == nullptr || how.last->ok()) return false;
    const again::journal::progress& p = how.record.result.progress;
    const auto told = [&](const std::string& endpoint) {
      return std::any_of(how.last->outcomes.begin(), how.last->outcomes.end(),
                         [&](const again::endpoint_outcome& o) { return !o.result && o.endpoint == endpoint; });
    };
    return std::all_of(p.refused.begin(), p.refused.end(), told) && std::all_of(p.only.begin(), p.only.end(), told);
  }
  static again::delivery letter_of(const again::event_end& how) {
    const again::journal::progress& p = how.record.result.progress;
    again::delivery d{how.record.event};
    d.event.id = shown_id(how.record.event.id);
    if (!p.only.empty() || !p.refused.empty()) d.event.only = p.only;
    d.event.only.insert(d.event.only.end(), p.refused.begin(), p.refused.end());
    d.not_begun = again::stop_reason::permanent;
    return d;
  }

  const journal_delivery::parts& p_;
  read_lines& lines_;
  failure_teller& failures_;
};

using kept_sink = again::durable_sink<again::sqlite::store, plain_sink>;

/// Takes lines from the input, in order, and stores them in batches.
class intake {
 public:
  intake(const journal_delivery::parts& p, kept_sink& kept, read_lines& lines, failure_teller& failures,
         run_observer& told, again::inplace_stop_token cancel)
      : p_{p}, kept_{kept}, lines_{lines}, failures_{failures}, told_{told}, cancel_{cancel} {}

  /// What was read is stored, or refused aloud.
  again::task<> run() {
    for (;;) {
      std::optional<input_line> line = co_await p_.source.next();
      if (!line) co_return;
      clear();
      while (line) {
        add(std::move(*line));
        line.reset();
        if (batch_.size() < most_events && bytes_ < most_bytes) line = p_.source.ready();
      }
      co_await store_batch();
    }
  }
  std::uint64_t repeated = 0;  ///< events that the journal knew

 private:
  static constexpr std::size_t most_events = 256, most_bytes = std::size_t{4} << 20U;
  struct entry {
    again::journal::new_event event;
    line_record from;
  };

  void clear() {
    batch_.clear();
    bytes_ = 0;
  }
  void add(input_line&& line) {
    const line_record from{line.number, line.bytes};
    last_ = from.number;
    try {
      auto e = p_.events.read_for_journal(std::move(line));
      if (!e) return p_.report.refuse(from, e.error());
      bytes_ += e->body.size();
      batch_.push_back({again::journal::new_event{*std::move(e)}, from});
    } catch (const std::exception& problem) { p_.report.refuse(from, problem.what()); }
  }
  again::task<> store_batch() {
    again::journal::error why{again::journal::error_kind::cancelled};
    bool stored = batch_.empty();
    if (!stored) stored = co_await store(0, batch_.size(), why);
    if (!stored && why.kind == again::journal::error_kind::invalid) {  // one of them is; the others are as good as ever
      for (std::size_t i = 0; i < batch_.size(); ++i) {
        const bool one = co_await store(i, i + 1, why);
        if (!one) p_.report.refuse(batch_[i].from, "not stored: " + why.text);
      }
    } else if (!stored) {
      for (const entry& e : batch_) p_.report.refuse(e.from, "not stored: " + why.text);
      co_return;
    }
    if (!p_.settings.acknowledge) co_return;
    std::string text;
    text.reserve(output_writer::reserved);
    fmt::format_to(std::back_inserter(text), "{{\"acknowledged\":{}}}\n", last_);
    static_cast<void>(co_await p_.results.put(text, reporter::no_result));
  }
  again::task<bool> store(std::size_t from, std::size_t to, again::journal::error& why) {
    for (std::size_t i = from; i < to; ++i) lines_.add(batch_[i].event.event.id, batch_[i].from);
    again::duration pause = 50ms;
    for (;;) {
      std::vector<again::journal::new_event> events;
      events.reserve(to - from);
      for (std::size_t i = from; i < to; ++i) events.push_back(batch_[i].event);
      auto got = co_await kept_.append(std::move(events));
      if (got) {
        failures_.works();
        repeated += got->repeated;
        co_return true;
      }
      why = got.error();
      if (why.kind == again::journal::error_kind::invalid) co_return false;
      told_.store_failed(why);
      if (!again::journal::may_pass(why.kind) || cancel_.stop_requested()) co_return false;
      for (again::duration left = pause; left > again::duration::zero() && !cancel_.stop_requested(); left -= 50ms)
        static_cast<void>(co_await again::sleep_for(std::min<again::duration>(left, 50ms)));
      pause = std::min<again::duration>(pause * 2, 5s);
    }
  }

  const journal_delivery::parts& p_;
  kept_sink& kept_;
  read_lines& lines_;
  failure_teller& failures_;
  run_observer& told_;
  again::inplace_stop_token cancel_;
  std::vector<entry> batch_;
  std::size_t bytes_ = 0;
  std::size_t last_ = 0;  // the number of the last line
};

/// There is one call of `close`, whether a signal or the end of the input is the reason.
again::task<> close_at(kept_sink& kept, again::inplace_stop_token end) {
  static_cast<void>(co_await stop_wait{end});
  co_await kept.close(again::forever);
}
again::task<> forward(again::inplace_stop_token asked, again::inplace_stop_source& end) {
  const bool now = co_await stop_wait{asked};
  if (now) end.request_stop();
}

class over_sqlite final : public journal_delivery {
 public:
  explicit over_sqlite(again::sqlite::store&& s) : store_{std::move(s)} {}

  again::task<> run(const parts& p, again::inplace_stop_token asked, again::inplace_stop_token cancel) override {
    const again::context& here = co_await again::get_context();
    again::context until_cancelled = here;
    until_cancelled.stop = cancel;
    read_lines lines;
    failure_teller failures{p.log};
    plain_sink to{p.to, p.report};
    run_observer told{p, lines, failures};
    again::durable_options o = p.settings.durable;
    o.observer = &told;
    kept_sink kept{store_, to, o};
    watched_store<again::sqlite::store, kept_sink> watched{store_, kept};
    const journal_watch::mark shown{p.watch, watched};
    intake reading{p, kept, lines, failures, told, cancel};
    {
      again::inplace_stop_source end;
      again::scope delivering{until_cancelled}, storing{here}, beside{here};
      delivering.spawn(kept.run());
      delivering.spawn(close_at(kept, end.get_token()));
      beside.spawn(forward(asked, end));
      beside.spawn(journal_watch::keep_up(p.watch));
      if (p.status != nullptr) beside.spawn(p.status->run());
      storing.spawn(reading.run());
      p.source.start();  // last: a start that fails above must not lose lines that were already read
      co_await storing.join();
      co_await finish_what_is_due(kept, asked);
      end.request_stop();
      co_await delivering.join();
      beside.request_stop();
      co_await beside.join();
    }
    if (reading.repeated > 0) p.log.account("deliver: {} of the lines were in the journal already", reading.repeated);
    complete_ = !told.broken && kept.unrecorded() == 0;
    if (kept.unrecorded() > 0)
      p.log.account("deliver: {} results could not be recorded: these events are sent again, with the same key",
                    kept.unrecorded());
    co_await tell_what_stays(p);
  }
  bool complete() const noexcept override { return complete_; }

 private:
  /// When the next event is due; nothing: none waits. `problem`: the store's.
  again::task<std::optional<again::wall_time>> next_due(std::optional<again::journal::error>& problem) {
    auto got = co_await store_.take(0, again::journal::worker_lease{"", 1s});
    problem.reset();
    if (got) co_return got->next;
    problem = got.error();
    co_return std::nullopt;
  }
  again::task<> finish_what_is_due(kept_sink& kept, again::inplace_stop_token asked) {
    const again::context& here = co_await again::get_context();
    while (!asked.stop_requested()) {
      if (kept.held() == 0) {
        std::optional<again::journal::error> problem;
        const auto next = co_await next_due(problem);
        // What was taken before that is held by now: the writer keeps the order of the calls.
        const bool over =
            problem ? !again::journal::may_pass(problem->kind) : !next || *next > here.scheduler->wall_now();
        if (over && kept.held() == 0) co_return;
      }
      static_cast<void>(co_await again::sleep_for(10ms));
    }
  }
  again::task<> tell_what_stays(const parts& p) {
    const again::context& here = co_await again::get_context();
    const std::uint64_t left = store_.unfinished();
    if (left == 0) co_return;
    std::optional<again::journal::error> problem;
    const auto next = co_await next_due(problem);
    const again::duration in = next ? *next - here.scheduler->wall_now() : again::duration::zero();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::max(in, again::duration::zero())).count();
    const std::string when = problem        ? std::string{"they cannot be read"}
                             : seconds == 0 ? "the next one is due now"
                                            : fmt::format("the next one is due in {} s", seconds);
    p.log.account("deliver: {} {} in the journal: {}", left, left == 1 ? "event stays" : "events stay", when);
  }

  again::sqlite::store store_;
  bool complete_ = true;
};

}  // namespace

std::unique_ptr<journal_delivery> journal_delivery::open(const std::string& path) {
  auto opened = again::sqlite::store::open(path);
  if (!opened) throw usage_error{"--journal: " + opened.error().text};
  return std::make_unique<over_sqlite>(*std::move(opened));
}

#endif

}  // namespace programs
