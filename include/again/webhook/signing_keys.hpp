// SPDX-License-Identifier: MIT
/// \file
/// `signing_keys`: the secrets that sign for one endpoint: one, or during a key rotation the new one and the old ones. They come from a
/// file or from the environment, never from a command line, which every user of the machine can read.
///
/// ```cpp
/// auto keys = again::webhook::signing_keys::from_file("/run/secrets/orders");    // one key a line
/// auto same = again::webhook::signing_keys::from_environment("ORDERS_SECRET");
/// ```
///
/// Errors are sentences that say what to do, and hold no part of a key. Memory that held the text is wiped; the environment stays as it
/// is. Cost: a copy shares the keys. Threads: any number may sign at a time.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>
#include <again/webhook/secret.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

class signing_keys {
 public:
  /// More keys than a rotation needs: the header field with their signatures would be refused as too large.
  static constexpr std::size_t most = 16;
  /// A file above this is not a list of keys.
  static constexpr std::size_t most_text = 4096;

  signing_keys(const secret& one) : keys_{std::make_shared<const std::vector<secret>>(1, one)} {}
  /// The new key first: receivers try signatures in this order. Throws `std::invalid_argument` where there is none, or too many.
  explicit signing_keys(std::vector<secret> several);

  /// One key a line; empty lines do not count.
  static expected<signing_keys, http::invalid> parse(std::string_view lines);
  static expected<signing_keys, http::invalid> from_file(const std::string& path);
  static expected<signing_keys, http::invalid> from_environment(const std::string& name);

  std::size_t size() const noexcept { return keys_->size(); }
  const std::vector<secret>& secrets() const noexcept { return *keys_; }
  /// The signatures of `content` by each key, with a space between them.
  std::string signatures(std::string_view content) const;

 private:
  std::shared_ptr<const std::vector<secret>> keys_;
};

// ── definitions ──

inline signing_keys::signing_keys(std::vector<secret> several)
    : keys_{std::make_shared<const std::vector<secret>>(std::move(several))} {
  if (keys_->empty()) throw std::invalid_argument{"again::webhook::signing_keys: needs a key"};
  if (keys_->size() > most) throw std::invalid_argument{"again::webhook::signing_keys: at most 16 keys"};
}

inline expected<signing_keys, http::invalid> signing_keys::parse(std::string_view lines) {
  using bad = unexpected<http::invalid>;
  std::vector<secret> found;
  for (std::size_t number = 1; !lines.empty(); ++number) {
    std::string_view line = http::detail::take_until(lines, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = http::detail::trim(line);
    if (line.empty()) continue;
    auto one = secret::parse(line);
    if (!one) return bad{http::invalid{"line " + std::to_string(number) + ": " + one.error().reason()}};
    if (found.size() == most) return bad{http::invalid{"more than 16 keys"}};
    found.push_back(*std::move(one));
  }
  if (found.empty()) return bad{http::invalid{"no key in it: write whsec_… or whsk_…, one a line"}};
  return signing_keys{std::move(found)};
}

inline expected<signing_keys, http::invalid> signing_keys::from_file(const std::string& path) {
  const auto bad = [&path](const std::string& why) {
    return unexpected<http::invalid>{http::invalid{"the secret's file '" + path + "': " + why}};
  };
  struct closer {
    void operator()(std::FILE* f) const noexcept { static_cast<void>(std::fclose(f)); }
  };
  const std::unique_ptr<std::FILE, closer> file{std::fopen(path.c_str(), "rb")};
  if (!file) return bad(std::generic_category().message(errno));
  static_cast<void>(std::setvbuf(file.get(), nullptr, _IONBF, 0));  // its buffer would not be wiped
  detail::wiped_bytes<most_text + 1> text;
  text.size = std::fread(text.bytes.data(), 1, text.bytes.size(), file.get());
  if (std::ferror(file.get()) != 0) return bad(std::generic_category().message(errno));
  if (text.size > most_text) return bad("longer than 4096 bytes: this is no list of keys");
  auto keys = parse(text.view());
  if (!keys) return bad(keys.error().reason());
  return keys;
}

inline expected<signing_keys, http::invalid> signing_keys::from_environment(const std::string& name) {
  const auto bad = [&name](const std::string& why) {
    return unexpected<http::invalid>{http::invalid{"the environment variable " + name + ": " + why}};
  };
  const char* const text = std::getenv(name.c_str());
  if (text == nullptr) return bad("is not set");
  auto keys = parse(text);
  if (!keys) return bad(keys.error().reason());
  return keys;
}

inline std::string signing_keys::signatures(std::string_view content) const {
  std::string out;
  for (const secret& key : *keys_) {
    if (!out.empty()) out += ' ';
    out += key.signature(content);
  }
  return out;
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
