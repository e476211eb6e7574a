// SPDX-License-Identifier: MIT
/// \file
/// A list of strings as one string of bytes: each with its length before it, in four bytes, the highest first. So that a column holds
/// header fields and names with any bytes in them.
#pragma once

#include <again/http/headers.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

inline void put_bytes(std::string& out, std::string_view bytes) {
  const auto n = static_cast<std::uint32_t>(bytes.size());
  for (unsigned shift = 32; shift != 0; shift -= 8) out += static_cast<char>(n >> (shift - 8) & 0xffU);
  out += bytes;
}
/// Takes the first string off. Nothing: these are not such bytes.
inline std::optional<std::string_view> take_bytes(std::string_view& from) noexcept {
  if (from.size() < 4) return std::nullopt;
  std::uint32_t n = 0;
  for (std::size_t i = 0; i < 4; ++i) n = n << 8U | static_cast<unsigned char>(from[i]);
  if (from.size() - 4 < n) return std::nullopt;
  const std::string_view bytes = from.substr(4, n);
  from.remove_prefix(4 + std::size_t{n});
  return bytes;
}

inline std::string packed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) put_bytes(out, name);
  return out;
}
inline std::string packed(const http::headers& fields) {
  std::string out;
  for (const http::headers::field& f : fields) {
    put_bytes(out, f.name);
    put_bytes(out, f.value);
  }
  return out;
}
/// False: the bytes are damaged.
inline bool unpack(std::string_view bytes, std::vector<std::string>& names) {
  while (!bytes.empty()) {
    const auto name = take_bytes(bytes);
    if (!name) return false;
    names.emplace_back(*name);
  }
  return true;
}
inline bool unpack(std::string_view bytes, http::headers& fields) {
  while (!bytes.empty()) {
    const auto name = take_bytes(bytes);
    const auto value = name ? take_bytes(bytes) : std::nullopt;
    if (!value) return false;
    fields.add(std::string{*name}, *value);
  }
  return true;
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
