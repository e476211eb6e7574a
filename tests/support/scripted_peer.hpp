// SPDX-License-Identifier: MIT
/// \file
/// The scripted peer of most tests of combinators.
#pragma once

#include <again/testing/script.hpp>

#include "support/trouble.hpp"

namespace again_test {

using peer = again::testing::script<int, trouble>;
/// What a call gives that was asked to stop: `peer p{stopped};`.
inline const trouble stopped{0, again::disposition::aborted};

}  // namespace again_test
