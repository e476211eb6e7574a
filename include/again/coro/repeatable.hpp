// SPDX-License-Identifier: MIT
/// \file
/// `is_repeatable` and `once_only` are in `<again/coro/operation.hpp>`.
#pragma once

#include <again/coro/operation.hpp>
