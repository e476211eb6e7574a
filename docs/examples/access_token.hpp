// SPDX-License-Identifier: MIT
// A bearer token that requests have to bring (RFC 6750). It is kept as its hash.
#pragma once

#include "options.hpp"

#include <again/http/detail/chars.hpp>

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

namespace programs {

/// A name of a file, at which everybody may look: told on stderr, since containers mount secrets like that.
inline void warn_if_public(std::string_view flag, const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 || (about.st_mode & (S_IROTH | S_IWOTH)) == 0) return;
  complain(fmt::format("deliver: {}: every user of this machine can {} {}: chmod 600 it", flag,
                       (about.st_mode & S_IWOTH) != 0 ? "change" : "read", path));
}

/// Any thread may ask.
class access_token {
 public:
  static constexpr std::size_t least = 16, most = 1024;  ///< characters: fewer could be guessed

  /// The first line of the file. Throws usage_error, with no part of it.
  access_token(const std::string& path, std::string_view flag) {
    warn_if_public(flag, path);
    const auto bad = [&](std::string_view why) { return usage_error{fmt::format("{}: {}: {}", flag, path, why)}; };
    struct closer {
      void operator()(std::FILE* f) const noexcept { static_cast<void>(std::fclose(f)); }
    };
    const std::unique_ptr<std::FILE, closer> file{std::fopen(path.c_str(), "rb")};
    if (!file) throw bad(std::strerror(errno));
    static_cast<void>(std::setvbuf(file.get(), nullptr, _IONBF, 0));
    std::array<char, most + 2> bytes{};
    const std::size_t size = std::fread(bytes.data(), 1, bytes.size(), file.get());
    std::string_view text{bytes.data(), size};
    text = again::http::detail::trim(text.substr(0, text.find_first_of("\r\n")));
    bool sound = text.size() <= most;
    for (const char c : text) sound = sound && c > ' ' && c < '\x7f';
    const bool enough = text.size() >= least;
    if (sound && enough) hash_ = hash_of(text);
    OPENSSL_cleanse(bytes.data(), bytes.size());
    if (!enough) throw bad("a token has at least 16 characters: openssl rand -hex 32");
    if (!sound) throw bad("a token is one line of visible ASCII, of at most 1024 characters");
  }
  /// Is this the value of an Authorization field that has it? Takes the same time wherever they differ.
  bool allows(std::string_view authorization) const noexcept {
    constexpr std::string_view scheme = "Bearer ";
    if (!again::http::detail::equal_ignoring_case(authorization.substr(0, scheme.size()), scheme)) return false;
    const hash given = hash_of(again::http::detail::trim(authorization.substr(scheme.size())));
    return CRYPTO_memcmp(given.data(), hash_.data(), hash_.size()) == 0;
  }

 private:
  using hash = std::array<unsigned char, SHA256_DIGEST_LENGTH>;
  static hash hash_of(std::string_view text) noexcept {
    hash out{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
    return out;
  }
  hash hash_{};
};

}  // namespace programs
