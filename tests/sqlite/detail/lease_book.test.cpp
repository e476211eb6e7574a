// SPDX-License-Identifier: MIT
#include <again/sqlite/detail/lease_book.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace again;
using namespace std::chrono_literals;
using sqlite::detail::lease;
using sqlite::detail::lease_book;

namespace {

constexpr wall_time at(int seconds) { return wall_time{} + std::chrono::seconds{seconds}; }
lease one(std::int64_t seq, int until, std::uint64_t number = 1) {
  return {seq, 10, "", journal::lease_token{"w", number}, at(until)};
}
using rows = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("leases are found by the event and by its row, and end in the order of their times") {
  lease_book book;
  CHECK(book.first_end() == journal::no_time);
  book.add("a", one(1, 30));
  book.add("b", one(2, 10));
  book.add("c", one(3, 20));
  REQUIRE(book.find("a") != nullptr);
  CHECK(book.find("a")->seq == 1);
  CHECK(book.find("d") == nullptr);
  CHECK((book.has(3) && !book.has(4)));
  CHECK(book.first_end() == at(10));
  CHECK(book.ended(at(20), 9) == rows{2, 3});
  CHECK(book.ended(at(20), 1) == rows{2});
  book.extend("b", at(40));
  book.remove("c");
  CHECK(book.ended(at(60), 9) == rows{1, 2});
  CHECK(!book.has(3));
  book.add("a", one(1, 50, 2));
  CHECK(book.find("a")->token.number == 2);
  CHECK(book.ended(at(60), 9) == rows{2, 1});
}

TEST_CASE("what was changed since a mark is undone, and nothing that was settled before") {
  lease_book book;
  book.add("a", one(1, 10));
  book.add("b", one(2, 20));
  book.settle();
  CHECK(book.mark() == 0);
  book.remove("a");
  const auto middle = book.mark();
  book.add("c", one(3, 5));
  book.extend("b", at(40));
  book.add("a", one(1, 60, 2));
  book.roll_back(middle);
  CHECK(book.find("c") == nullptr);
  CHECK(book.find("a") == nullptr);
  CHECK(book.ended(at(60), 9) == rows{2});
  CHECK(book.find("b")->until == at(20));
  book.roll_back(0);
  REQUIRE(book.find("a") != nullptr);
  CHECK(book.find("a")->token.number == 1);
  CHECK(book.has(1));
  CHECK(book.ended(at(60), 9) == rows{1, 2});
}
