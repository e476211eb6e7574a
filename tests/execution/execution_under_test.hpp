// SPDX-License-Identifier: MIT
/// \file
/// The library of senders that the tests of this program use: `ex`, a look-alike of stdexec, or the real one by
/// `-Dstdexec=PATH`. What stands elsewhere in the real one has one name here.
#pragma once

#include <again/coro/run_loop.hpp>
#include <again/execution/library.hpp>

#if defined(AGAIN_EXECUTION_HEADER)
#include "support/stdexec_lookalike.hpp"
namespace ex = again_test::p2300;
namespace exec_parts = again_test::p2300;
#else
#include <exec/single_thread_context.hpp>
#include <exec/task.hpp>
#include <exec/when_any.hpp>
namespace ex = stdexec;
namespace exec_parts = exec;
#endif

namespace again_test {

/// A receiver that keeps what it is completed with, for tests that own the operation state. Its stop token is the given
/// one.
struct kept_end {
  int values = 0;
  int errors = 0;
  int stops = 0;
  [[nodiscard]] int all() const noexcept { return values + errors + stops; }
};
template <class Token> struct kept_env {
  Token token;
  [[nodiscard]] Token query(ex::get_stop_token_t) const noexcept { return token; }
};
template <class Token> struct keeping_receiver {
  using receiver_concept = ex::receiver_t;
  kept_end* end;
  Token token;
  template <class... V> void set_value(V&&...) && noexcept { ++end->values; }
  template <class E> void set_error(E&&) && noexcept { ++end->errors; }
  void set_stopped() && noexcept { ++end->stops; }
  [[nodiscard]] kept_env<Token> get_env() const noexcept { return {token}; }
};

/// Starts the sender on `loop`, and runs that until it has completed, or nothing is left to run.
template <class Sender, class Token = ex::never_stop_token> kept_end run_on(again::run_loop& loop, Sender&& sender,
                                                                            Token token = {}) {
  kept_end end;
  auto operation = ex::connect(std::forward<Sender>(sender), keeping_receiver<Token>{&end, token});
  bool started = false;
  (void)loop.run_until([&] {
    if (!started) {
      started = true;
      ex::start(operation);
    }
    return end.all() != 0;
  });
  return end;
}

}  // namespace again_test
