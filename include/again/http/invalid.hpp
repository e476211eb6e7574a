// SPDX-License-Identifier: MIT
/// \file
/// `http::invalid`: why a URL, a header field, a method or a setting was refused, in one sentence, and at which character.
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// A refusal. The sentence never repeats a header's value or another text that may be a secret.
class invalid {
 public:
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

  explicit invalid(std::string reason, std::size_t position = nowhere)
      : reason_{std::move(reason)}, position_{position} {}

  /// One sentence without a full stop, such as "header 'X-A': its value contains LF".
  const std::string& reason() const noexcept { return reason_; }
  /// The index of the refused character in the text, from 0; `nowhere` where it is not one character.
  std::size_t position() const noexcept { return position_; }
  /// Reason and position: "header 'X-A': its value contains LF (position 3)".
  std::string text() const {
    return position_ == nowhere ? reason_ : reason_ + " (position " + std::to_string(position_) + ")";
  }

  friend bool operator==(const invalid&, const invalid&) = default;

 private:
  std::string reason_;
  std::size_t position_;
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
