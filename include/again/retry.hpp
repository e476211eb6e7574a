// SPDX-License-Identifier: MIT
/// \file
/// The face of `retry/`: `retry(policy, operation)` and `timeout(duration, operation)`.
#pragma once

#include <again/combinator/catching.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>
