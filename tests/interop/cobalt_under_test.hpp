// SPDX-License-Identifier: MIT
/// \file
/// Boost.Cobalt: the look-alike, or the real one (Boost 1.84 or later) if `-Dcobalt=PATH` names where it is installed.
#pragma once

#if defined(AGAIN_TEST_COBALT)
#include <boost/cobalt/op.hpp>
#include <boost/cobalt/spawn.hpp>
#include <boost/cobalt/task.hpp>
#else
#include "support/cobalt_lookalike.hpp"
#endif
