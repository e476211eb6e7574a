// SPDX-License-Identifier: MIT
/// \file
/// Senders and receivers (P2300): this library's operations as senders, its loops as schedulers, senders in its tasks, and
/// retries of senders. It needs `std::execution`, stdexec, or another library with the names of P2300: see
/// `<again/execution/library.hpp>`.
#pragma once

#include <again/execution/as_awaitable.hpp>
#include <again/execution/as_sender.hpp>
#include <again/execution/library.hpp>
#include <again/execution/loop_scheduler.hpp>
#include <again/execution/retry.hpp>
