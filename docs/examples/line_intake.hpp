// SPDX-License-Identifier: MIT
// From the lines of the input to events in a journal.
#pragma once

#include "journal_run.hpp"
#include "run_observer.hpp"

#include <again/journal.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace programs {

/// Takes lines from the input, in order, and stores them in batches.
template <class Kept> class line_intake {
 public:
  line_intake(const journal_delivery::parts& p, Kept& kept, read_lines& lines, failure_teller& failures,
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
    again::duration pause = std::chrono::milliseconds{50};
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
      for (again::duration left = pause; left > again::duration::zero() && !cancel_.stop_requested();
           left -= std::chrono::milliseconds{50})
        static_cast<void>(co_await again::sleep_for(std::min<again::duration>(left, std::chrono::milliseconds{50})));
      pause = std::min<again::duration>(pause * 2, std::chrono::seconds{5});
    }
  }

  const journal_delivery::parts& p_;
  Kept& kept_;
  read_lines& lines_;
  failure_teller& failures_;
  run_observer& told_;
  again::inplace_stop_token cancel_;
  std::vector<entry> batch_;
  std::size_t bytes_ = 0;
  std::size_t last_ = 0;  // the number of the last line
};

}  // namespace programs
