// SPDX-License-Identifier: MIT
// A consumer of the store over SQLite: compiles, links and runs with what its one dependency brings.
#include <again/journal.hpp>
#include <again/sqlite.hpp>

#include <cstdio>

int main() {
  const auto opened = again::sqlite::store::open("/no such folder/events.db");  // there is none
  if (opened) return 1;
  std::printf("refused: %s\n", opened.error().text.c_str());
  return opened.error().kind == again::journal::error_kind::unreachable ? 0 : 1;
}
