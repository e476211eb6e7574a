// SPDX-License-Identifier: MIT
#include <again/coro/work_queue.hpp>

#include <doctest/doctest.h>

namespace {
using state = again::work::state;
}

TEST_CASE("work comes out in the order in which it was pushed") {
  again::work_queue queue;
  again::work a, b, c;
  CHECK(queue.empty());
  queue.push(a, state::local);
  queue.push(b, state::local);
  queue.push(c, state::local);
  CHECK(queue.pop() == &a);
  CHECK(queue.pop() == &b);
  CHECK(queue.pop() == &c);
  CHECK(queue.pop() == nullptr);
  CHECK(queue.empty());
}

TEST_CASE("a node says in which queue it is") {
  again::work_queue queue;
  again::work a;
  CHECK(a.queued == state::idle);
  queue.push(a, state::remote);
  CHECK(a.queued == state::remote);
  CHECK(queue.pop() == &a);
  CHECK(a.queued == state::idle);
}

TEST_CASE("any node can be removed, and pushed again") {
  again::work_queue queue;
  again::work a, b, c;
  for (again::work* w : {&a, &b, &c}) queue.push(*w, state::local);
  queue.remove(b);
  CHECK(b.queued == state::idle);
  queue.remove(c);
  queue.push(b, state::local);
  CHECK(queue.pop() == &a);
  CHECK(queue.pop() == &b);
  CHECK(queue.empty());
}

TEST_CASE("take moves all nodes to the end, and changes what they say") {
  again::work_queue mine, others;
  again::work a, b, c;
  mine.push(a, state::local);
  others.push(b, state::remote);
  others.push(c, state::remote);
  mine.take(others, state::local);
  CHECK(others.empty());
  CHECK(c.queued == state::local);
  CHECK(mine.pop() == &a);
  CHECK(mine.pop() == &b);
  CHECK(mine.pop() == &c);
  CHECK(mine.empty());
}
