// SPDX-License-Identifier: MIT
// A warning of g++ 12, which -Werror makes an error.
// EXPECT-gcc: again: g++ 12 destroys twice what a lambda owns that is written inside a co_await expression: name the lambda first
// EXPECT-clang: another compiler is right
#include <again/again.hpp>
#include <string>

#if defined(__clang__) || __GNUC__ > 12
#error \
    "another compiler is right; again: g++ 12 destroys twice what a lambda owns that is written inside a co_await expression: name the lambda first"
#endif

again::task<again::expected<int, char>> load(const std::string&);
again::task<int> f(std::string id) {
  auto row = co_await again::retry(again::policy{}, [id] { return load(id); });
  co_return row ? *row : 0;
}
