// SPDX-License-Identifier: MIT
/// \file
/// `linked_stop_source`: a stop source that is also stopped when another token is. A combinator stops its children by
/// one, which follows the token of the awaiting context.
///
/// Threads: a request of the followed token runs on the requesting thread and only passes the request on. All members
/// except `request_stop` are for the owner's thread.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Passes a stop request of a token on to a source.
class stop_link {
 public:
  /// If stop was requested already, it is passed on at once. `to` outlives the link.
  void follow(inplace_stop_token from, inplace_stop_source& to) noexcept {
    if (from.stop_possible()) link_.emplace(from, forward{&to});
  }
  /// Ends the link. Waits for a request that is being passed on.
  void unlink() noexcept { link_.reset(); }

 private:
  struct forward {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  manual_optional<inplace_stop_callback<forward>> link_;
};

/// A stop source and a link to it.
class linked_stop_source : public inplace_stop_source {
 public:
  /// From now until `unlink`, a stop request of `token` stops this source too.
  void follow(inplace_stop_token token) noexcept { link_.follow(token, *this); }
  void unlink() noexcept { link_.unlink(); }

 private:
  stop_link link_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
