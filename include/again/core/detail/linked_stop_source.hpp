// SPDX-License-Identifier: MIT
/// \file
/// A stop source that is stopped together with others: a combinator's own source, which the awaiting side's token also stops.
///
/// Threads: a request on a token that it follows runs on the requesting thread and does nothing but pass the request on. All
/// members but `request_stop` are for the owner's thread.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Passes the stop request of a token on to a source.
class stop_link {
 public:
  /// At once if stop has been requested already. `to` outlives the link.
  void follow(inplace_stop_token from, inplace_stop_source& to) noexcept {
    if (from.stop_possible()) link_.emplace(from, forward{&to});
  }
  /// Waits for a request that is just being passed on.
  void unlink() noexcept { link_.reset(); }

 private:
  struct forward {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  manual_optional<inplace_stop_callback<forward>> link_;
};

/// A source with a link of its own.
class linked_stop_source : public inplace_stop_source {
 public:
  /// From now on a stop of `token` stops this source too. Ends with `unlink`.
  void follow(inplace_stop_token token) noexcept { link_.follow(token, *this); }
  void unlink() noexcept { link_.unlink(); }

 private:
  stop_link link_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
