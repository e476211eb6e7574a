// SPDX-License-Identifier: MIT
/// \file
/// The face of `core/version.hpp`: the version as a number that the preprocessor can compare.
#pragma once

#include <again/core/version.hpp>
