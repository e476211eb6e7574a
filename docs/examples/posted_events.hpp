// SPDX-License-Identifier: MIT
// The events in the body of a POST.
#pragma once

#include "deliver_options.hpp"
#include "event.hpp"

#include <again/core/expected.hpp>
#include <again/http/headers.hpp>
#include <again/sink/event.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace programs {

/// Why nothing of a request is taken.
struct refused_post {
  int status;
  std::string why;
};

/// What a request brings. Places count from 0, over its events.
struct posted_events {
  struct refusal {
    std::size_t place;
    std::string why;
  };
  std::vector<again::event> events;  ///< as a journal stores them
  std::vector<refusal> refused;
};

/// Reads one event, one per line, or CloudEvents in their three modes, as the Content-Type says. The bytes of each event stay as they
/// came. One thread at a time.
class post_reader {
 public:
  /// The settings outlive it.
  explicit post_reader(const deliver_settings& s) : settings_{s}, events_{s.longest} {}

  /// Can a request with these fields be read at all? Before its body is there.
  static again::expected<void, refused_post> check(const again::http::headers& fields);
  again::expected<posted_events, refused_post> read(const again::http::headers& fields, std::string&& body);

 private:
  struct origin;

  void add(posted_events& to, std::string&& text, const origin& from, bool cloud_event);
  again::expected<again::event, std::string> binary(const again::http::headers& fields, std::string&& body,
                                                    const origin& from);
  again::event stored(again::event&& e) const;
  bool typed() const { return settings_.endpoints.front().headers.contains("Content-Type"); }

  const deliver_settings& settings_;
  event_parser events_;
};

}  // namespace programs
