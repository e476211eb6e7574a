// SPDX-License-Identifier: MIT
/// \file
/// The face of `format/`: fmt formatters for everything that is worth printing. Needs fmt 9 or newer.
#pragma once

#include <again/format/core.hpp>
#include <again/format/http.hpp>
