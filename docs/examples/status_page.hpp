// SPDX-License-Identifier: MIT
// `deliver --status`: a page for a browser, live, with buttons where --status-admin allows them.
#pragma once

#include "message_log.hpp"
#include "status_board.hpp"

#include <again/coro/task.hpp>
#include <again/sink/delivery_observer.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace programs {

struct status_settings {
  std::string where;                       ///< [ADDRESS:]PORT
  std::optional<std::string> admin_file;   ///< of the token; without one nothing can be changed
  std::vector<std::string> allowed_hosts;  ///< as status_server has them
  std::vector<std::string> endpoints;      ///< their names, in the order of the sink
};

/// Made before the sink, which it observes, and ended after it; `serve` comes when there is a sink.
class status_page {
 public:
  /// `next` sees everything that the sink tells, too. `journal`: null without one. Throws usage_error.
  static std::unique_ptr<status_page> make(status_settings s, again::delivery_observer& next, journal_watch* journal);
  status_page() = default;
  status_page(const status_page&) = delete;
  status_page& operator=(const status_page&) = delete;
  virtual ~status_page() = default;

  virtual status_board& board() noexcept = 0;
  /// Listens, and says where. Throws usage_error if it cannot listen.
  virtual void serve(std::unique_ptr<watched_sink> of, message_log& log) = 0;
  /// Keeps the page up to date until it is stopped. The loop's.
  virtual again::task<> run() = 0;
};

}  // namespace programs
