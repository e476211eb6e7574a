// SPDX-License-Identifier: MIT
// What `deliver` tells of its events: result lines, log lines, progress, and the numbers that decide its exit code.
#pragma once

#include "deliver_options.hpp"
#include "journal_id.hpp"
#include "message_log.hpp"
#include "outcome.hpp"
#include "output_writer.hpp"
#include "progress.hpp"
#include "responses.hpp"

#include <again/format.hpp>
#include <again/journal/durable_observer.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/delivery_log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

/// What is kept of a line until its event has its result.
struct line_record {
  std::size_t number;
  std::uint64_t bytes;
};

/// Used by the loop's thread alone. Nothing of it throws: where there is no memory to tell all of a result, a shorter line tells what is
/// certain, and needs none.
class reporter : public again::delivery_observer {
 public:
  /// `total`: bytes of input; 0 if unknown. `kept`: null unless they are served.
  reporter(const deliver_settings& s, std::uint64_t total, message_log& log, const again::dead_letter_file* dead,
           responses* kept)
      : settings_{s}, progress_{total, log}, log_{log}, dead_{dead}, responses_{kept} {
    if (s.log) {
      const auto write = [this](again::log_level, std::string_view line) { say(line); };
      delivery_log_ = std::make_unique<again::delivery_log>(*s.log, write, s.log_level, s.log_keys);
    }
  }

  void refuse(const line_record& line, std::string_view why) noexcept {
    ++progress_.refused;
    progress_.done += line.bytes;
    account("deliver: line {}: not delivered: {}", line.number, why);
  }
  void began() noexcept { ++progress_.running; }
  /// A delivery that is not the end of its event.
  void paused() noexcept { --progress_.running; }

  void attempted(const again::event& e, std::string_view endpoint, const again::attempt_record& record) override {
    if (record.attempt > 1) ++progress_.retries;
    if (settings_.how.verbose) say("{}: {}", e.id, record);
    untold([&] {
      if (delivery_log_) delivery_log_->attempted(e, endpoint, record);
    });
    draw();
  }
  void finished(const again::delivery& d) override {
    untold([&] {
      if (delivery_log_) delivery_log_->finished(d);
    });
    untold([&] {
      if (responses_ != nullptr) responses_->keep(d);
    });
    if (d.dead_letter == again::dead_letter::lost)
      account("deliver: {}: its dead letter is LOST: {}", d.event.id,
              dead_->problem().empty() ? std::string_view{"no memory"} : dead_->problem());
  }

  /// Writes the result line of an event into `text`, which has a capacity of `output_writer::reserved`. True: it was delivered.
  bool result(std::string& text, const line_record& from, again::delivery& d) noexcept {
    end(from, d.ok());
    const bool ok = d.ok();
    const int attempts = d.attempts();
    const auto reason = d.reason();
    try {
      text.clear();
      append_result(text, from, d);
    } catch (const std::exception&) {
      append_brief(text, from, d.event.id, ok, attempts, reason, "no memory for more");
    }
    draw();
    return ok;
  }
  /// The same for an event of a journal, which may have been delivered several times, in several runs. It does not run any more.
  bool result(std::string& text, const line_record& from, const again::event_end& end,
              again::dead_letter letter) noexcept {
    const bool ok = end.state == again::journal::event_state::done;
    count(from, ok);
    const again::journal::result& how = end.record.result;
    try {
      text.clear();
      append_result(text, from, end, letter);
    } catch (const std::exception&) {
      append_brief(text, from, shown_id(end.record.event.id), ok, how.progress.attempts, std::nullopt,
                   "no memory for more");
    }
    draw();
    return ok;
  }
  /// The same where the delivery ended by an exception, which is the lack of memory: nothing is certain but the line.
  void interrupted(std::string& text, const line_record& from, std::string_view why) noexcept {
    end(from, false);
    account("deliver: line {}: no result: {}; it may have been sent", from.number, why);
    append_brief(text, from, {}, false, 0, std::nullopt, why);
  }

  /// No result can be written from now on. `unwritten` gives their tags.
  void output_failed(int problem, output_writer& unwritten) noexcept {
    output_failed_ = true;
    if (!std::exchange(failure_said_, true))  // a single result may have found out before
      account("deliver: results cannot be written: {}; reading no further", std::strerror(problem));
    while (const auto tag = unwritten.next_unwritten())
      if (*tag != no_result) without_result(*tag / 2, *tag % 2 != 0);
  }
  /// `line`: 0 for an event that an earlier run has read.
  void without_result(std::uint64_t line, bool ok) noexcept {
    output_failed_ = true;
    const std::string_view what = ok ? "delivered" : "not delivered";
    if (line == 0)
      account("deliver: an event of an earlier run: {}, but its result could not be written", what);
    else
      account("deliver: line {}: {}, but its result could not be written", line, what);
  }
  static constexpr std::uint64_t no_result = ~std::uint64_t{0};  ///< the tag of a text that is no result
  static std::uint64_t tag_of(const line_record& from, bool ok) noexcept { return from.number * 2 + (ok ? 1 : 0); }

  void draw() noexcept { progress_.draw(); }
  bool on_terminal() const noexcept { return progress_.shown(); }
  bool all_delivered() const noexcept { return progress_.failed == 0 && progress_.refused == 0 && !output_failed_; }

 private:
  template <class... Args> void say(fmt::format_string<Args...> format, Args&&... args) noexcept {
    progress_.clear();
    log_.say(format, std::forward<Args>(args)...);
  }
  void say(std::string_view line) noexcept {
    progress_.clear();
    log_.say(line);
  }
  template <class... Args> void account(fmt::format_string<Args...> format, Args&&... args) noexcept {
    progress_.clear();
    log_.account(format, std::forward<Args>(args)...);
  }
  /// What a person would have liked to know as well: without memory it is only counted.
  template <class Tell> void untold(Tell tell) noexcept {
    try {
      tell();
    } catch (const std::exception& problem) {
      say("deliver: a line of the log or a response to export is missing: {}", problem.what());
    }
  }
  void end(const line_record& from, bool ok) noexcept {
    --progress_.running;
    count(from, ok);
  }
  void count(const line_record& from, bool ok) noexcept {
    ++(ok ? progress_.delivered : progress_.failed);
    progress_.done += from.bytes;
  }

  void append_result(std::string& text, const line_record& from, again::delivery& d) const {
    parts of{d};
    json_object line{text};
    line.text("id", d.event.id);
    add_to(line, of.whole);
    line.number("line", from.number);
    add_rest(line, text, of);
    if (d.dead_letter != again::dead_letter::none) line.text("dead_letter", name(d.dead_letter));
    line.end();
    text += '\n';
  }
  void append_result(std::string& text, const line_record& from, const again::event_end& end,
                     again::dead_letter letter) const {
    const again::journal::result& how = end.record.result;
    parts of;
    if (end.last != nullptr) of = parts{*end.last};
    outcome& whole = of.whole;
    const bool ok = end.state == again::journal::event_state::done;
    if (!ok && (whole.ok || end.last == nullptr)) {  // an earlier delivery decided it, or nothing was sent
      whole = not_sent(again::http::error_kind::cancelled, stopped_by(how.reason), how.progress.last_error);
      whole.status = how.status;
      if (how.reason == unmatched_detail) name_unwanted(whole);
    }
    whole.attempts = how.progress.attempts;
    json_object line{text};
    line.text("id", shown_id(end.record.event.id));
    add_to(line, whole);
    line.number("deliveries", how.progress.deliveries);
    if (from.number != 0) line.number("line", from.number);
    add_rest(line, text, of);
    if (letter != again::dead_letter::none) line.text("dead_letter", name(letter));
    line.end();
    text += '\n';
  }
  static again::stop_reason stopped_by(std::string_view reason) noexcept {
    return reason == name(again::stop_reason::deadline_reached) ? again::stop_reason::deadline_reached
                                                                : again::stop_reason::permanent;
  }
  static void name_unwanted(outcome& o) {
    o.error = unmatched_error;
    o.detail = unmatched_detail;
  }
  /// A delivery as outcomes, and the one that tells how all of it ended.
  struct parts {
    parts() = default;
    explicit parts(again::delivery& d) {
      for (again::endpoint_outcome& o : d.outcomes) {
        endpoints.push_back(o.endpoint);
        each.push_back(outcome_of(std::move(o)));
      }
      const auto failed = std::find_if(each.begin(), each.end(), [](const outcome& o) { return !o.ok; });
      whole = failed != each.end() ? *failed
              : !each.empty()      ? each.front()
                                   : not_sent(again::http::error_kind::cancelled,
                                              d.not_begun.value_or(again::stop_reason::cancelled_before_start), {});
      if (is_unwanted(d)) name_unwanted(whole);
      whole.attempts = 0;
      for (const outcome& o : each) whole.attempts += o.attempts;
    }
    std::vector<outcome> each{};
    std::vector<std::string_view> endpoints{};
    outcome whole{};
  };
  void add_rest(json_object& line, std::string& text, const parts& of) const {
    add_trace(line, text, of.whole);
    if (settings_.endpoints.size() < 2) return;
    line.array("endpoints", of.each.size(), [&](std::size_t i) {
      json_object part{text};
      part.text("endpoint", of.endpoints[i]);
      add_to(part, of.each[i]);
      add_trace(part, text, of.each[i]);
      part.end();
    });
  }
  /// Fits into the capacity of `text`, without the id if need be.
  static void append_brief(std::string& text, const line_record& from, std::string_view id, bool ok, int attempts,
                           std::optional<again::stop_reason> reason, std::string_view why) noexcept {
    for (const bool with_id : {true, false}) {
      try {
        text.clear();
        json_object line{text};
        line.text_or_null("id", id, with_id && !id.empty()).boolean("ok", ok).null("status");
        line.text_or_null("error", "no_memory", !ok).text("detail", why.substr(0, 60));
        line.text_or_null("reason", reason ? name(*reason) : std::string_view{}, reason.has_value());
        line.number("attempts", attempts).null("elapsed_ms").number("line", from.number);
        line.array("trace", 0, [](std::size_t) {}).end();
        text += '\n';
        return;
      } catch (const std::exception&) {}
    }
  }

  const deliver_settings& settings_;
  progress progress_;
  message_log& log_;
  const again::dead_letter_file* dead_;
  responses* responses_;
  std::unique_ptr<again::delivery_log> delivery_log_;
  bool output_failed_ = false;
  bool failure_said_ = false;
};

}  // namespace programs
