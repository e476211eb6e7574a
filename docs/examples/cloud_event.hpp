// SPDX-License-Identifier: MIT
// CloudEvents between their JSON and the header fields of their binary mode.
#pragma once

#include "event.hpp"

#include <again/cloudevents/http_binding.hpp>
#include <again/core/expected.hpp>
#include <again/http/headers.hpp>
#include <again/sink/event.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

/// What `parse` made of a line, as an event for the sink in that content mode; nothing: as it was read. The bytes that are sent are bytes
/// that were read: the whole object, or its `data`. `typed`: the endpoints set the Content-Type. Error: why it has no such mode.
again::expected<again::event, std::string> in_mode(event&& e, std::optional<again::cloudevents::content_mode> mode,
                                                   bool typed);

/// The CloudEvent of a request in binary mode. Error: half a sentence on why it is none.
again::expected<again::cloudevents::event, std::string> event_of_fields(const again::http::headers& fields,
                                                                        std::string&& body);

/// The attributes of an event that is about to be sent, in whatever mode; of other JSON objects the members that are no objects or lists.
class event_attributes {
 public:
  explicit event_attributes(const again::event& e);
  std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (const auto& [known, value] : all_)
      if (known == name) return value;
    return std::nullopt;
  }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

}  // namespace programs
