// SPDX-License-Identifier: MIT
#include "http_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace again_test {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

const char* reason(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

}  // namespace

bool same(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* find(const header_list& headers, std::string_view field) noexcept {
  for (const auto& [key, value] : headers) {
    if (same(key, field)) return &value;
  }
  return nullptr;
}

bool has_token(const header_list& headers, std::string_view field, std::string_view token) noexcept {
  for (const auto& [key, value] : headers) {
    if (!same(key, field)) continue;
    std::string_view rest = value;
    for (;;) {
      const auto comma = rest.find(',');
      if (same(trimmed(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

bool parse_head(std::string_view text, seen_request& into, std::vector<std::string>& complaints) {
  const auto next_line = [&text] {
    const auto end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 2);
    return line;
  };
  const std::string_view first = next_line();
  const auto one = first.find(' ');
  const auto two = first.rfind(' ');
  if (one == std::string_view::npos || one == two || one == 0) {
    complaints.push_back("request line is not METHOD TARGET VERSION: " + std::string(first.substr(0, 100)));
    return false;
  }
  into.method = first.substr(0, one);
  into.target = first.substr(one + 1, two - one - 1);
  into.version = first.substr(two + 1);
  const std::string where = into.method + " " + into.target + ": ";
  if (into.target.find(' ') != std::string::npos) complaints.push_back(where + "space in the target");
  if (into.version != "HTTP/1.1" && into.version != "HTTP/1.0") complaints.push_back(where + "version " + into.version);
  while (!text.empty()) {
    const std::string_view line = next_line();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      complaints.push_back(where + "header line without a name: " + std::string(line.substr(0, 100)));
      continue;
    }
    const std::string_view field = line.substr(0, colon);
    if (field.find_first_of(" \t") != std::string_view::npos) complaints.push_back(where + "space in a header name");
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      complaints.push_back(where + "CR, LF or NUL inside a header");
    }
    into.headers.emplace_back(field, trimmed(line.substr(colon + 1)));
  }
  const auto count = [&into](std::string_view field) {
    return std::count_if(into.headers.begin(), into.headers.end(), [&](const auto& h) { return same(h.first, field); });
  };
  if (into.version == "HTTP/1.1" && count("Host") != 1) {
    complaints.push_back(where + std::to_string(count("Host")) + " Host headers instead of one");
  }
  if (count("Content-Length") > 1) complaints.push_back(where + "more than one Content-Length");
  if (count("Content-Length") > 0 && count("Transfer-Encoding") > 0) {
    complaints.push_back(where + "both Content-Length and Transfer-Encoding");
  }
  return true;
}

bool bodyless(int status, std::string_view method) noexcept {
  return method == "HEAD" || status < 200 || status == 204 || status == 304;
}

std::string expanded(const std::string& value) {
  if (value.empty() || value.front() != '@') return value;
  const auto sign = value.find_first_of("+-");
  const std::string_view form = std::string_view(value).substr(0, sign);
  if (form != "@now" && form != "@rfc850" && form != "@asctime") return value;
  long long offset = 0;
  if (sign != std::string::npos) {
    const char* const begin = value.data() + sign + (value[sign] == '+' ? 1 : 0);
    const char* const end = value.data() + value.size();
    if (const auto [stopped, error] = std::from_chars(begin, end, offset); error != std::errc{} || stopped != end)
      return value;
  }
  const std::time_t when =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + static_cast<std::time_t>(offset);
  std::tm t{};
  ::gmtime_r(&when, &t);
  // strftime would follow the locale
  constexpr std::array days{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const char* const day = days[static_cast<std::size_t>(t.tm_wday)];
  const char* const month = months[static_cast<std::size_t>(t.tm_mon)];
  std::array<char, 96> out{};
  if (form == "@now") {
    std::snprintf(out.data(), out.size(), "%.3s, %02d %s %04d %02d:%02d:%02d GMT", day, t.tm_mday, month,
                  t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  } else if (form == "@rfc850") {
    std::snprintf(out.data(), out.size(), "%s, %02d-%s-%02d %02d:%02d:%02d GMT", day, t.tm_mday, month, t.tm_year % 100,
                  t.tm_hour, t.tm_min, t.tm_sec);
  } else {
    std::snprintf(out.data(), out.size(), "%.3s %s %2d %02d:%02d:%02d %04d", day, month, t.tm_mday, t.tm_hour, t.tm_min,
                  t.tm_sec, t.tm_year + 1900);
  }
  return out.data();
}

std::string response_head(const step& s, bool say_close) {
  std::string head = "HTTP/1.1 " + std::to_string(s.status) + " " + reason(s.status) + "\r\n";
  for (const auto& [field, value] : s.headers) head += field + ": " + expanded(value) + "\r\n";
  const bool lengthless = s.status < 200 || s.status == 204 || (s.status == 304 && s.content.empty());
  if (s.content_length) {
    head += "Content-Length: " + std::to_string(*s.content_length) + "\r\n";
  } else if (s.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!s.no_length && !lengthless && !find(s.headers, "Content-Length") &&
             !find(s.headers, "Transfer-Encoding")) {
    head += "Content-Length: " + std::to_string(s.content.size()) + "\r\n";
  }
  if (say_close && !find(s.headers, "Connection")) head += "Connection: close\r\n";
  return head + "\r\n";
}

chunk_reader::result chunk_reader::take(std::string& buffer, std::string& body) {
  std::size_t at = 0;
  const auto result_of = [&](result r) {
    buffer.erase(0, at);
    return r;
  };
  for (;;) {
    if (left_ > 0) {
      const std::size_t got = std::min(left_, buffer.size() - at);
      const std::size_t data = std::min(got, left_ > 2 ? left_ - 2 : 0);
      body.append(buffer, at, data);
      at += got;
      left_ -= got;
      if (left_ > 0) return result_of(result::more);
    }
    const auto end = buffer.find("\r\n", at);
    if (end == std::string::npos) return result_of(buffer.size() - at > 4096 ? result::wrong : result::more);
    const std::string_view line(buffer.data() + at, end - at);
    if (trailers_) {
      at = end + 2;
      if (line.empty()) return result_of(result::complete);
      continue;
    }
    std::size_t size = 0;
    const auto [stopped, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
    const bool clean = stopped == line.data() + line.size() || *stopped == ';' || *stopped == ' ';
    if (error != std::errc{} || !clean || size > (std::size_t{1} << 40)) return result_of(result::wrong);
    at = end + 2;
    if (size == 0) {
      trailers_ = true;
    } else {
      left_ = size + 2;
    }
  }
}

}  // namespace again_test
