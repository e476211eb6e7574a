// SPDX-License-Identifier: MIT
#include <again/core/detail/intrusive_list.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace {

struct node {
  int value = 0;
  node* next = nullptr;
  node* previous = nullptr;
};
using list = again::detail::intrusive_list<node>;

std::vector<int> drained(list& l) {
  std::vector<int> values;
  while (const node* const n = l.pop()) values.push_back(n->value);
  return values;
}

}  // namespace

TEST_CASE("an intrusive list pops its nodes in the order of pushing") {
  std::array<node, 3> nodes{{{1}, {2}, {3}}};
  list l;
  CHECK(l.empty());
  for (node& n : nodes) l.push(n);
  CHECK(l.front() == &nodes[0]);
  CHECK(list::after(nodes[0]) == &nodes[1]);
  CHECK(list::after(nodes[2]) == nullptr);
  CHECK(drained(l) == std::vector{1, 2, 3});
  CHECK(l.empty());
}

TEST_CASE("any node can be removed from an intrusive list, and pushed again") {
  for (std::size_t out = 0; out < 3; ++out) {
    CAPTURE(out);
    std::array<node, 3> nodes{{{0}, {1}, {2}}};
    list l;
    for (node& n : nodes) l.push(n);
    l.remove(nodes[out]);
    l.push(nodes[out]);
    std::vector<int> expected;
    for (int i = 0; i < 3; ++i)
      if (i != static_cast<int>(out)) expected.push_back(i);
    expected.push_back(static_cast<int>(out));
    CHECK(drained(l) == expected);
  }
}

TEST_CASE("a list is appended to another in order, and is empty afterwards") {
  std::array<node, 4> nodes{{{1}, {2}, {3}, {4}}};
  list first, second;
  SUBCASE("both have nodes") {
    first.push(nodes[0]);
    first.push(nodes[1]);
    second.push(nodes[2]);
    second.push(nodes[3]);
    first.append(second);
    CHECK(second.empty());
    first.remove(nodes[2]);
    CHECK(drained(first) == std::vector{1, 2, 4});
  }
  SUBCASE("the first is empty") {
    second.push(nodes[0]);
    first.append(second);
    CHECK(second.empty());
    CHECK(drained(first) == std::vector{1});
  }
  SUBCASE("the second is empty") {
    first.push(nodes[0]);
    first.append(second);
    CHECK(drained(first) == std::vector{1});
  }
}
