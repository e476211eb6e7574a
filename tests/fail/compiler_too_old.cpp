// SPDX-License-Identifier: MIT
// The compiler says that it is an older one.
// FLAGS-gcc: -U__GNUC__ -D__GNUC__=11
// FLAGS-clang: -U__clang_major__ -D__clang_major__=15
// EXPECT-gcc: again needs g++ 12 or newer: older ones compile coroutines wrongly; install one, or use clang 16 or newer
// EXPECT-clang: again needs clang 16 or newer: older ones lack parts of C++20; install one, or use g++ 12 or newer
#include <again/again.hpp>
