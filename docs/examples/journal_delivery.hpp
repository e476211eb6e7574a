// SPDX-License-Identifier: MIT
// `deliver --journal`, whatever store it is over: see journal_over.hpp.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/task.hpp>

#include <memory>
#include <string>

namespace programs {

class any_transport;
class event_reader;
class line_source;
class message_log;
class reporter;
class result_output;
struct deliver_settings;

/// Throws usage_error where the program was built without the library that this journal needs.
void require_journal(const std::string& place);

/// A journal that this process has, and how `deliver` runs over it.
class journal_delivery {
 public:
  /// Opens the journal that the settings name, or makes it. Throws usage_error with a sentence.
  static std::unique_ptr<journal_delivery> open(const deliver_settings& s);
  journal_delivery() = default;
  journal_delivery(const journal_delivery&) = delete;
  journal_delivery& operator=(const journal_delivery&) = delete;
  virtual ~journal_delivery() = default;

  struct parts;
  /// Stores the lines, delivers what is in the journal, and ends when the input has ended and nothing more is due. `asked`: no more is
  /// taken from the journal. `cancel`, which comes after it: what is under way is given back. To be awaited in a context that is not
  /// stopped, so that what was read can still be stored.
  virtual again::task<> run(const parts& p, again::inplace_stop_token asked, again::inplace_stop_token cancel) = 0;
  /// Everything that was read is stored, and every end is recorded.
  virtual bool complete() const noexcept = 0;
};

}  // namespace programs
