// SPDX-License-Identifier: MIT
// Seeds in a process that forks. Not built where the system does not.
#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>

TEST_CASE("a forked process draws other seeds than its parent") {
  (void)again::fresh_seed();  // from here on this thread has a stream
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  const std::uint64_t mine = again::fresh_seed();
  if (child == 0) ::_exit(::write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
  std::uint64_t childs = mine;
  CHECK(::read(ends[0], &childs, sizeof childs) == sizeof childs);
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(childs != mine);
}
