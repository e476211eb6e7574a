// SPDX-License-Identifier: MIT
// Which events an endpoint wants: the member `filter` of an endpoint in the file of `--endpoints`.
#pragma once

#include <again/cloudevents/filter.hpp>
#include <again/core/stop_reason.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/event.hpp>

#include <simdjson.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace programs {

/// `{"type": "com.example.order", "source": {"prefix": "/eu/"}}`: every attribute that is named has to match. A value is a text (exact), a
/// list (any of them), or an object with exact, prefix, suffix or not. Throws usage_error.
again::cloudevents::filter parse_filter(simdjson::dom::element json);

/// The error of an event that no endpoint wants.
inline constexpr std::string_view unmatched_error = "unmatched";
inline constexpr std::string_view unmatched_detail = "no endpoint's filter takes the event";

/// The filters of all endpoints, in their order. One thread.
class event_filters {
 public:
  void add(std::optional<again::cloudevents::filter> one) {
    any_ = any_ || one.has_value();
    of_.push_back(std::move(one));
  }
  /// Is there a filter at all?
  explicit operator bool() const noexcept { return any_; }
  /// The endpoints that want it.
  std::vector<std::size_t> endpoints_for(const again::event& e) const;

 private:
  std::vector<std::optional<again::cloudevents::filter>> of_;  // nothing: every event
  bool any_ = false;
};

/// The end of an event that no endpoint wants. It was not delivered, so it is a dead letter where there is a file for them.
again::delivery not_wanted(again::event e, again::dead_letter_file* letters);
/// Is it such an end?
bool is_unwanted(const again::delivery& d) noexcept;

}  // namespace programs
