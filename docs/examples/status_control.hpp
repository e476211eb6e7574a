// SPDX-License-Identifier: MIT
// What a person may do to the events of a journal from the status page.
#pragma once

#include <again/coro/task.hpp>

#include <string>

namespace programs {

/// Each member gives an empty text when it is done and recorded, else a sentence that says why it is not. One loop, one thread.
class status_control {
 public:
  status_control() = default;
  status_control(const status_control&) = delete;
  status_control& operator=(const status_control&) = delete;
  virtual ~status_control() = default;

  /// `id`: the one under which the journal has the event. It is due now; a dead one waits again.
  virtual again::task<std::string> retry(std::string id) = 0;
  /// The event is forgotten.
  virtual again::task<std::string> discard(std::string id) = 0;
};

}  // namespace programs
