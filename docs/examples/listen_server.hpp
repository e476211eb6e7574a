// SPDX-License-Identifier: MIT
// `deliver --listen`: events over HTTP into a journal. What needs Boost.Beast is compiled in listen_server.cpp alone.
#pragma once

#include "batch_intake.hpp"
#include "deliver_options.hpp"
#include "message_log.hpp"

#include <memory>

namespace programs {

/// Listens as `s.listen` says, and hands over what is posted. Throws usage_error where it cannot. Connections are taken from `start` on.
/// Settings and log outlive it.
std::unique_ptr<batch_source> open_listener(const deliver_settings& s, message_log& log);

}  // namespace programs
