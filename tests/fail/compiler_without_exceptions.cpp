// SPDX-License-Identifier: MIT
// FLAGS: -fno-exceptions
// EXPECT: again needs exceptions, which carry what an operation throws to its caller: compile without -fno-exceptions
#include <again/again.hpp>
