// SPDX-License-Identifier: MIT
/// \file
/// Awaits between coroutines of the IoAwaitable protocol (P4003: capy, corosio) and ours: see docs/interop.md.
#pragma once

#include <again/io_awaitable/as_io_awaitable.hpp>
#include <again/io_awaitable/await_io.hpp>
#include <again/io_awaitable/protocol.hpp>
