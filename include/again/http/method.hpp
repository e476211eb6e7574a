// SPDX-License-Identifier: MIT
/// \file
/// `method`: a request method as a small value, whether it is safe or idempotent (RFC 9110 9.2), and `method_set`: a set of them.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// A method: a case-sensitive token of at most 23 characters, held in place. Trivially copyable, constexpr.
/// It can be made from any text. `validate(request)` refuses a text that is no token, with a reason, and nothing is sent.
class method {
 public:
  static constexpr std::size_t capacity = 23;

  static const method get, head, post, put, delete_, options, trace, patch, query, connect;

  constexpr explicit method(std::string_view text) noexcept
      : size_{static_cast<std::uint8_t>(std::min(text.size(), capacity + 1))} {
    std::copy_n(text.data(), std::min(text.size(), capacity), text_.data());
  }

  /// Its name, cut to 23 characters.
  constexpr std::string_view text() const noexcept { return {text_.data(), std::min<std::size_t>(size_, capacity)}; }
  /// Whether it is a token that was not cut.
  constexpr bool valid() const noexcept { return size_ <= capacity && detail::is_token(text()); }

  /// Whether it only reads: GET, HEAD, OPTIONS, TRACE (RFC 9110 9.2.1) and QUERY (draft-ietf-httpbis-safe-method-w-body).
  constexpr bool safe() const noexcept {
    const std::string_view t = text();
    return t == "GET" || t == "HEAD" || t == "OPTIONS" || t == "TRACE" || t == "QUERY";
  }
  /// Whether two sends have the effect of one: the safe methods, PUT and DELETE (RFC 9110 9.2.2).
  constexpr bool idempotent() const noexcept { return safe() || text() == "PUT" || text() == "DELETE"; }

  friend constexpr bool operator==(const method&, const method&) noexcept = default;

 private:
  std::array<char, capacity> text_{};
  std::uint8_t size_ = 0;
};

inline constexpr method method::get{"GET"};
inline constexpr method method::head{"HEAD"};
inline constexpr method method::post{"POST"};
inline constexpr method method::put{"PUT"};
inline constexpr method method::delete_{"DELETE"};
inline constexpr method method::options{"OPTIONS"};
inline constexpr method method::trace{"TRACE"};
inline constexpr method method::patch{"PATCH"};
inline constexpr method method::query{"QUERY"};
inline constexpr method method::connect{"CONNECT"};

/// The ten methods that a `method_set` can hold. Other methods are only in `method_set::any()`.
inline constexpr std::array known_methods{method::get,   method::head,  method::put,  method::delete_, method::options,
                                          method::trace, method::query, method::post, method::patch,   method::connect};

/// A set of methods: `method_set{method::get, method::put}`, or `method_set::any()`. Trivially copyable, two bytes.
class method_set {
 public:
  constexpr method_set() noexcept = default;
  template <std::same_as<method>... M> constexpr method_set(const method& first, const M&... more) noexcept {
    insert(first);
    (insert(more), ...);
  }
  /// Every method, also those that are not in `known_methods`.
  static constexpr method_set any() noexcept {
    method_set set;
    set.bits_ = every;
    return set;
  }
  /// GET, HEAD, PUT, DELETE, OPTIONS, TRACE: the idempotent methods of RFC 9110.
  static constexpr method_set idempotent() noexcept {
    return {method::get, method::head, method::put, method::delete_, method::options, method::trace};
  }

  constexpr bool is_any() const noexcept { return bits_ == every; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr bool contains(const method& m) const noexcept { return is_any() || (bits_ & bit(m)) != 0; }
  /// Adds a method. False if it is not one of `known_methods`; then the set stays as it was.
  constexpr bool insert(const method& m) noexcept {
    bits_ = static_cast<std::uint16_t>(bits_ | bit(m));
    return is_any() || bit(m) != 0;
  }
  friend constexpr bool operator==(method_set, method_set) noexcept = default;

  /// The names with ", " between them, "any" or "none".
  std::string text() const {
    if (is_any()) return "any";
    std::string names;
    for (const method& m : known_methods)
      if (contains(m)) detail::append_item(names, m.text());
    return names.empty() ? "none" : names;
  }

 private:
  static constexpr std::uint16_t every = 0xffff;
  static constexpr std::uint16_t bit(const method& m) noexcept {
    for (std::size_t i = 0; i < known_methods.size(); ++i)
      if (known_methods[i] == m) return static_cast<std::uint16_t>(1U << i);
    return 0;
  }
  std::uint16_t bits_ = 0;
};

/// A set from "any", "none" or comma-separated names, as `send --retry-methods` takes it.
inline expected<method_set, invalid> parse_method_set(std::string_view text) {
  method_set set;
  if (detail::trim(text) == "any") return method_set::any();
  if (detail::trim(text) == "none") return set;
  while (!text.empty()) {
    const std::string_view one = detail::trim(detail::take_until(text, ','));
    if (!set.insert(method{one})) {
      std::string names;
      for (const method& m : known_methods) names.append(m.text()).append(", ");
      return unexpected<invalid>{invalid{"'" + std::string{one} + "' is not one of " + names + "any, none"}};
    }
  }
  return set;
}

/// What decides whether a request may be sent again (RFC 9110 9.2.2). `request::facts` makes it.
struct request_facts {
  http::method method = http::method::get;
  bool keyed = false;                ///< it carries an Idempotency-Key
  std::optional<bool> idempotent{};  ///< what `request::idempotent` says; it outranks key and method
  bool replayable = true;            ///< another attempt can read its body
  bool outstanding = false;  ///< an earlier attempt was sent and got no response: the server may still process it

  /// Whether another send is harmless: by `idempotent`, else by the key, else by the method.
  constexpr bool repeatable() const noexcept { return idempotent.value_or(keyed || method.idempotent()); }
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
