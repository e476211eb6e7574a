// SPDX-License-Identifier: MIT
// How `deliver --journal` tells of the ends of events and of a journal that fails. One loop, one thread.
#pragma once

#include "journal_id.hpp"
#include "journal_run.hpp"

#include <again/journal.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

namespace programs {

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

/// Says that the journal fails, and that it works again. A sentence that repeats itself comes every ten seconds.
class failure_teller {
 public:
  explicit failure_teller(message_log& log) : log_{log} {}
  void failed(const again::journal::error& why) {
    const auto now = std::chrono::steady_clock::now();
    const bool lasting = !again::journal::may_pass(why.kind);
    if (why.text == said_ && now < next_) return;
    said_ = why.text;
    next_ = now + std::chrono::seconds{10};
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
    if (how.state == again::journal::event_state::waiting) co_return;
    const line_record from = lines_.take(how.record.event.id);
    auto letter = again::dead_letter::none;
    if (how.state == again::journal::event_state::dead && p_.dead != nullptr) letter = write_letter(how);
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

}  // namespace programs
