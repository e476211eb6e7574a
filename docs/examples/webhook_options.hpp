// SPDX-License-Identifier: MIT
// The flags of `deliver` for webhooks: signatures, the schedule of days, and how a CloudEvent is sent. What needs OpenSSL is compiled in
// webhook_options.cpp alone.
#pragma once

#include "options.hpp"
#include "retry_options.hpp"

#include <again/cloudevents/http_binding.hpp>
#include <again/journal/durable_options.hpp>
#include <again/sink/options.hpp>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace programs {

/// Where the secrets of an endpoint are. Never a secret.
struct secret_source {
  bool environment = false;  ///< a variable, else a file
  std::string name;
  friend auto operator<=>(const secret_source&, const secret_source&) = default;
};

/// The signatures of each source, which is read once: a pipe can be read no second time.
using signers = std::map<secret_source, again::http::attempt_hook>;

/// What an endpoint is asked for before its first event.
struct permission_request {
  std::string origin;  ///< a name for the whole sending system
  std::optional<std::int64_t> per_minute;
};

struct webhook_options {
  std::optional<secret_source> sign;
  std::optional<again::cloudevents::content_mode> ce_mode;  ///< nothing: every event as it was read
  bool standard_schedule = false;
  std::optional<std::string> permission_origin;
  std::optional<std::int64_t> permission_rate;

  void add_to(options& o);
  /// What the other flags begin with.
  retry_defaults defaults() const;
  /// Throws usage_error where another flag contradicts the schedule. `redelivers`: one of --redeliver-... is given.
  void set_schedule(again::durable_options& durable, bool journal, bool redelivers) const;
  /// Throws usage_error where it cannot be asked.
  std::optional<permission_request> permission() const;
  /// Lets the attempts at `e` be signed. Throws usage_error, with no part of a secret.
  void prepare(again::endpoint& e, bool keyed, signers& known) const;
};

}  // namespace programs
