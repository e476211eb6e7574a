// SPDX-License-Identifier: MIT
// A secret in a file, by which a request may change something.
#pragma once

#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

namespace programs {

/// Holds the hash of it alone. Any thread.
class admin_token {
 public:
  static constexpr std::size_t shortest = 16, longest = 512;

  /// Throws usage_error where the file cannot be read, where others may read it, or where it holds no token.
  static admin_token from_file(const std::string& path) {
    const auto refused = [&path](std::string_view why) { return usage_error{fmt::format("{}: {}", path, why)}; };
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
      throw refused(errno == ENOENT ? "there is no such file; make it: (umask 077; openssl rand -hex 32 > FILE)"
                                    : std::strerror(errno));
    }
    struct stat about{};
    std::array<char, longest + 3> bytes{};
    const bool known = ::fstat(fd, &about) == 0;
    const ssize_t got = known && S_ISREG(about.st_mode) ? ::read(fd, bytes.data(), bytes.size()) : 0;
    ::close(fd);
    if (!known || !S_ISREG(about.st_mode)) throw refused("is not a file");
    if ((about.st_mode & 077U) != 0) throw refused("others may read it: chmod 600");
    std::string_view text{bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    const bool fits = text.size() >= shortest && text.size() <= longest && std::all_of(text.begin(), text.end(), fit);
    if (!fits)
      throw refused(fmt::format("holds no token: {} to {} letters, digits and -._~+/= in one line", shortest, longest));
    admin_token t;
    t.hash_ = hash_of(text);
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return t;
  }

  /// Does a field `Authorization` bring it? Takes the same time whatever it brings.
  bool is_in(std::string_view authorization) const {
    constexpr std::string_view scheme = "Bearer ";
    const bool bearer =
        authorization.size() > scheme.size() && ::strncasecmp(authorization.data(), scheme.data(), scheme.size()) == 0;
    const auto brought = hash_of(bearer ? authorization.substr(scheme.size()) : std::string_view{});
    return CRYPTO_memcmp(brought.data(), hash_.data(), brought.size()) == 0;
  }

 private:
  using hash = std::array<unsigned char, SHA256_DIGEST_LENGTH>;
  admin_token() = default;
  static bool fit(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"-._~+/="}.find(c) != std::string_view::npos;
  }
  static hash hash_of(std::string_view text) {
    hash out{};
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
    return out;
  }

  hash hash_{};
};

}  // namespace programs
