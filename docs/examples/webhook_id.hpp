// SPDX-License-Identifier: MIT
// The id under which a signed webhook is known to its receiver.
#pragma once

#include "event.hpp"

#include <again/webhook/sign.hpp>

#include <string>
#include <string_view>

namespace programs {

/// The event's key, or, where that has a character that an id may not have (a full stop, a space), its hash. Equal keys give equal ids in
/// every run.
inline std::string webhook_id(std::string_view key) {
  if (key.empty()) return {};
  return again::webhook::detail::validate_id(key) ? key_of({"webhook", key}) : std::string{key};
}

}  // namespace programs
