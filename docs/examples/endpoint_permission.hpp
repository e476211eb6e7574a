// SPDX-License-Identifier: MIT
// `deliver --ce-permission`: asks each endpoint whether it wants events, before the first of them.
#pragma once

#include "any_transport.hpp"
#include "deliver_options.hpp"
#include "message_log.hpp"

#include <again/coro/task.hpp>

namespace programs {

/// Asks those that are to be asked, all at a time, each by its own policy. One that consents gets the field that names the sender with
/// each event, and no more events a minute than it allows. One that does not is left out, aloud; where its events would be lost by that
/// (with --to all), or none is left, it throws `std::runtime_error`.
again::task<> ask_permissions(any_transport& through, deliver_settings& s, message_log& log);

}  // namespace programs
