// SPDX-License-Identifier: MIT
// EXPECT: again: the function given to for_each or transform takes one item of the range
#include <again/again.hpp>

#include <string>
#include <vector>

again::task<int> load(int id);

again::task<> all(std::vector<std::string>& names) { static_cast<void>(co_await again::transform(names, 32, load)); }
