// SPDX-License-Identifier: MIT
// FLAGS-gcc: -fno-coroutines
// FLAGS-clang: -U__cpp_impl_coroutine -Wno-builtin-macro-redefined
// EXPECT: again needs coroutines: compile without -fno-coroutines
#include <again/again.hpp>
