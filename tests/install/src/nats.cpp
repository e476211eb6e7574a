// SPDX-License-Identifier: MIT
// A consumer of the store over JetStream: compiles, links and runs with what its one dependency brings.
#include <again/journal.hpp>
#include <again/nats.hpp>

#include <cstdio>

int main() {
  const auto opened =
      again::nats::store::open(*again::nats::parse_place("nats://127.0.0.1:1/ORDERS"));  // there is none
  if (opened) return 1;
  std::printf("refused: %s\n", opened.error().text.c_str());
  return opened.error().kind == again::journal::error_kind::unreachable ? 0 : 1;
}
