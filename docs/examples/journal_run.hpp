// SPDX-License-Identifier: MIT
// What a run over a journal works with. Everything outlives the run.
#pragma once

#include "batch_intake.hpp"
#include "deliver_options.hpp"
#include "event_reader.hpp"
#include "journal_delivery.hpp"
#include "line_source.hpp"
#include "message_log.hpp"
#include "pages.hpp"
#include "reporter.hpp"
#include "result_output.hpp"
#include "stop_wait.hpp"

#include <again/again.hpp>
#include <again/sink/dead_letters.hpp>

#include <functional>

namespace programs {

struct journal_delivery::parts {
  line_source& source;
  event_reader& events;
  sink& to;
  const deliver_settings& settings;
  reporter& report;
  result_output& results;
  message_log& log;
  again::dead_letter_file* dead;       ///< null: none
  std::function<void()> stop_reading;  ///< for a journal that fails for good
  batch_source* batches = nullptr;     ///< another source of events; then the run goes on until it is asked to end
  status_page* status = nullptr;       ///< null: none
  journal_watch* watch = nullptr;      ///< null: nobody looks
};

}  // namespace programs
