// SPDX-License-Identifier: MIT
// EXPECT: again: for_each and transform want a range first: for_each(urls, 32, f)
#include <again/again.hpp>

again::task<> load(int id);

again::task<> all() { static_cast<void>(co_await again::for_each(1000, 32, load)); }
