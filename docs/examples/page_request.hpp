// SPDX-License-Identifier: MIT
// A request for one of our own pages, as RFC 9112 has it.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/headers.hpp>
#include <again/http/method.hpp>
#include <again/http/url.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

struct page_request {
  std::string method;
  again::http::url url;  ///< what is asked for: of the Host field, or of the target where it is a whole URL
  again::http::headers headers;

  std::string_view path() const noexcept { return url.path(); }
  /// The decoded value of a parameter of the query, if it is there.
  std::optional<std::string> parameter(std::string_view name) const {
    std::string_view query = std::string_view{url.target}.substr(std::min(path().size() + 1, url.target.size()));
    while (!query.empty()) {
      const std::string_view one = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(one.size() + 1, query.size()));
      const auto equals = std::min(one.find('='), one.size());
      if (decoded(one.substr(0, equals)) == name) return decoded(one.substr(std::min(equals + 1, one.size())));
    }
    return std::nullopt;
  }

 private:
  static std::string decoded(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef0123456789ABCDEF";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto high = text[i] == '%' && i + 2 < text.size() ? hex.find(text[i + 1]) : std::string_view::npos;
      const auto low = high != std::string_view::npos ? hex.find(text[i + 2]) : std::string_view::npos;
      if (low == std::string_view::npos) {
        out += text[i] == '+' ? ' ' : text[i];
      } else {
        out += static_cast<char>(static_cast<unsigned char>(high % 16 * 16 + low % 16));
        i += 2;
      }
    }
    return out;
  }
};

/// Where the header section ends, counted from the beginning of `bytes`: behind the blank line. `npos`: not yet.
inline std::size_t end_of_head(std::string_view bytes) noexcept {
  const std::size_t begin =
      std::min(bytes.find_first_not_of("\r\n"), bytes.size());  // blank lines before the request line
  const std::size_t crlf = bytes.find("\n\r\n", begin), lf = bytes.find("\n\n", begin);
  if (crlf == std::string_view::npos && lf == std::string_view::npos) return std::string_view::npos;
  return crlf < lf ? crlf + 3 : lf + 2;
}

/// Can a request begin like this? A TLS handshake does not, and need not be waited for.
inline bool may_begin_a_request(std::string_view bytes) noexcept {
  const std::size_t first = bytes.find_first_not_of("\r\n");
  return first == std::string_view::npos || (bytes[first] >= 'A' && bytes[first] <= 'z');
}

/// Reads a header section, or gives the status that says what is wrong with it.
inline again::expected<page_request, int> parse_page_request(std::string_view head) {
  using bad = again::unexpected<int>;
  constexpr int bad_request = 400, not_implemented = 501, version_not_supported = 505;
  head.remove_prefix(std::min(head.find_first_not_of("\r\n"), head.size()));
  const auto next_line = [&head] {
    std::string_view line = head.substr(0, head.find('\n'));
    head.remove_prefix(std::min(line.size() + 1, head.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  };

  page_request r;
  const std::string_view line = next_line();
  const auto first = std::min(line.find(' '), line.size());
  const auto last = std::min(line.find(' ', first + 1), line.size());
  r.method = line.substr(0, first);
  const std::string_view target = line.substr(std::min(first + 1, line.size()), last - std::min(first + 1, last));
  const std::string_view version = line.substr(std::min(last + 1, line.size()));
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.') return bad{bad_request};
  if (version[5] != '1') return bad{version_not_supported};
  if (!again::http::method{r.method}.valid()) return bad{r.method.size() > 16 ? not_implemented : bad_request};

  for (std::string_view field = next_line(); !field.empty(); field = next_line()) {
    const auto colon = std::min(field.find(':'), field.size());
    const std::string_view name =
        field.substr(0, colon);  // white space before the colon or at the beginning is in no name
    const std::string_view value = field.substr(std::min(colon + 1, field.size()));
    if (colon == field.size() || again::http::validate_field(name, value)) return bad{bad_request};
    r.headers.add(std::string{name}, value);
  }
  const std::size_t hosts = r.headers.count("Host");
  if (hosts > 1 || (hosts == 0 && version != "HTTP/1.0")) return bad{bad_request};
  const std::string host{hosts == 0 ? "localhost" : r.headers.get("Host")};
  if (host.find_first_of("/?#") != std::string::npos) return bad{bad_request};

  const bool whole = target.find("://") < target.find('/');
  if (!whole && again::http::validate_target(target)) return bad{bad_request};
  auto url = again::http::parse_url(whole ? std::string{target} : "http://" + host + std::string{target});
  if (!url || target.find('#') != std::string_view::npos) return bad{bad_request};
  r.url = *std::move(url);
  return r;
}

}  // namespace programs
