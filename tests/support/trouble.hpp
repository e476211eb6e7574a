// SPDX-License-Identifier: MIT
/// \file
/// An error type whose verdict is what the test says, and pretend time to run in.
#pragma once

#include <again/core/expected.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/policy/verdict.hpp>

#include <utility>

namespace again_test {

struct trouble {
  int number = 0;
  again::disposition kind = again::disposition::transient;
  again::reach reach = again::reach::answered;
  again::duration server_delay{-1};
  bool repeatable = true;

  explicit trouble(int n, again::disposition k = again::disposition::transient) noexcept : number{n}, kind{k} {}
  again::verdict verdict() const noexcept {
    return {.kind = kind,
            .reach = reach,
            .repeatable = repeatable,
            .server_delay = server_delay,
            .code = number,
            .name = "trouble"};
  }
};
using outcome = again::expected<int, trouble>;

inline outcome fail(int number, again::disposition kind = again::disposition::transient) {
  return outcome{again::unexpect, trouble{number, kind}};
}
/// What an attempt gives that was asked to stop: says nothing of the peer.
inline outcome aborted(int number) { return fail(number, again::disposition::aborted); }

/// A loop in pretend time.
struct world {
  again::virtual_clock time;
  again::run_loop loop{time, 42};

  template <class A> decltype(auto) run(A&& awaited, again::inplace_stop_token stop = {}) {
    return again::sync_wait(loop, std::forward<A>(awaited), stop);
  }
  again::duration elapsed() const { return time.now() - again::virtual_clock::start; }
};

}  // namespace again_test
