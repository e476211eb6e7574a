// SPDX-License-Identifier: MIT
// A journal on NATS JetStream. What needs libnats is compiled in journal_nats.cpp alone.
#pragma once

#include "endpoint_editing.hpp"
#include "journal_delivery.hpp"
#include "nats_access.hpp"

#include <again/core/clock.hpp>

#include <memory>
#include <string>
#include <vector>

namespace programs {

/// Throws usage_error where the program was built without libnats.
void require_nats();
/// Connects, and makes what is missing. `lease`: after this time another worker takes over what this one has. Throws usage_error with a
/// sentence.
std::unique_ptr<journal_delivery> open_nats_journal(const std::string& place, const nats_access& access,
                                                    again::duration lease);
/// The endpoints of a journal that exists. Throws usage_error.
opened_endpoints open_nats_endpoints(const std::string& place, const nats_access& access);
/// `deliver journal COMMAND nats://… [ID...]`. Gives the exit code. Throws usage_error.
int nats_journal_command(const std::string& command, const std::string& place, const nats_access& access,
                         const std::vector<std::string>& names);

}  // namespace programs
