// SPDX-License-Identifier: MIT
// FLAGS: -std=c++17
// EXPECT: again needs C++20: compile with -std=c++20 or newer
#include <again/again.hpp>
