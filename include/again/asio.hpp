// SPDX-License-Identifier: MIT
/// \file
/// Asio: this library's operations in Asio's coroutines, callbacks and futures, and Asio's operations in this library's
/// tasks. It needs Boost.Asio 1.77, or standalone Asio 1.19 if `AGAIN_STANDALONE_ASIO` is defined.
#pragma once

#include <again/asio/async_retry.hpp>
#include <again/asio/async_run.hpp>
#include <again/asio/error.hpp>
#include <again/asio/library.hpp>
#include <again/asio/run.hpp>
#include <again/asio/scheduler.hpp>
#include <again/asio/use_expected.hpp>
