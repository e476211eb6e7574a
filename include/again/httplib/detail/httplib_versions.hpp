// SPDX-License-Identifier: MIT
/// \file
/// cpp-httplib itself, and the few places where its versions (0.11.3 and newer) differ for us. The only header that
/// includes it. Differences are probed in templates, by what compiles; enumerators are named, never numbered.
#pragma once

// With a compiled cpp-httplib (Debian's) its classes have other sizes without this definition: the program would link and
// corrupt memory. Its pkg-config file and meson dependency bring the definition along.
#if !defined(CPPHTTPLIB_OPENSSL_SUPPORT) && !defined(AGAIN_HTTPLIB_WITHOUT_TLS)
#error \
    "again/http: compile with the flags of `pkg-config --cflags cpp-httplib` (they define CPPHTTPLIB_OPENSSL_SUPPORT); only for a header-only cpp-httplib without TLS define AGAIN_HTTPLIB_WITHOUT_TLS"
#endif

#include <again/core/expected.hpp>

#include <httplib.h>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
inline constexpr bool httplib_has_tls = true;
#else
inline constexpr bool httplib_has_tls = false;
#endif

/// Is a version "0.11.3" at least that?
constexpr bool at_least(const char* version, int major, int minor, int patch) noexcept {
  for (const int wanted : {major, minor, patch}) {
    int part = 0;
    for (; *version >= '0' && *version <= '9'; ++version) part = part * 10 + (*version - '0');
    if (part != wanted) return part > wanted;
    if (*version == '.') ++version;
  }
  return true;
}
static_assert(
    at_least(CPPHTTPLIB_VERSION, 0, 11, 3),
    "again/http needs cpp-httplib 0.11.3 or newer: before, its hook for new sockets misses Unix-domain ones, and "
    "what was sent could not be told from what was not");

/// From 0.29 to 0.48 a query is decoded and encoded anew, also with path encoding off.
inline constexpr bool httplib_rewrites_queries =
    at_least(CPPHTTPLIB_VERSION, 0, 29, 0) && !at_least(CPPHTTPLIB_VERSION, 0, 49, 0);

/// Does the query of `target` come out of that as it went in? No for a lone '?', a name that is empty, a second '=', an
/// encoded octet that needs no code (%20, which becomes '+', too) or has one in lower case.
constexpr bool survives_rewriting(std::string_view target) noexcept {
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return true;
  constexpr std::string_view plain = "-._~!$'()*,;:@/?";
  const auto as_is = [&](int c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           plain.find(static_cast<char>(c)) != std::string_view::npos;
  };
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  bool named = false, valued = false;
  for (std::size_t i = mark + 1; i < target.size(); ++i) {
    const char c = target[i];
    if (c == '&' || c == '=') {
      if (!named || (c == '=' && valued)) return false;
      valued = c == '=';
      named = valued;
      continue;
    }
    named = true;
    if (c == '%') {
      if (i + 2 >= target.size() || digit(target[i + 1]) < 0 || digit(target[i + 2]) < 0) return false;
      const int octet = 16 * digit(target[i + 1]) + digit(target[i + 2]);
      if (as_is(octet) || octet == ' ') return false;
      i += 2;
    } else if (c != '+' && !as_is(c)) {
      return false;
    }
  }
  return named;
}
static_assert(survives_rewriting("/a") && survives_rewriting("/a?b") && survives_rewriting("/a?b=&c=d+e%26/?x"));
static_assert(!survives_rewriting("/a?") && !survives_rewriting("/a?b=c%20d") && !survives_rewriting("/a?b=%2f") &&
              !survives_rewriting("/a?b==c") && !survives_rewriting("/a?=b") && !survives_rewriting("/a?b&&c"));

/// Our way of using a client: one connection kept open, nothing rewritten, nothing sent that we did not ask for.
template <class Client> void configure(Client& client) {
  client.set_keep_alive(true);
  client.set_follow_location(false);
  client.set_tcp_nodelay(true);  // head and body are two writes: 40 ms each without it
  client.set_decompress(false);
  client.set_compress(false);
  if constexpr (requires { client.set_path_encode(false); }) {  // 0.23
    client.set_path_encode(false);
  } else {
    client.set_url_encode(false);
  }
}

/// Since 0.30.2 a body of 1 KiB waits up to a second for a 100 Continue that many servers never send. An empty Expect field
/// switches that off.
template <class Request> void suppress_expect(Request& request) {
  if constexpr (requires { request.download_progress; }) {  // 0.23, the nearest mark that can be probed
    if (!request.has_header("Expect")) request.headers.emplace("Expect", "");
  }
}

/// Does an https connection through a proxy work? Before 0.13.2 a refused CONNECT can hang its thread for ever.
template <class E = httplib::Error> constexpr bool connect_is_safe() noexcept {
  return requires { E::ProxyConnection; };
}

/// What the library's error codes say, which is little: `Read` is timeout, FIN, RST and a malformed response alike.
enum class httplib_says { success, no_connection, connect_timeout, tls, tls_certificates, tls_verify, write, other };

template <class E> httplib_says translate(E error) noexcept {
  if (error == E::Success) return httplib_says::success;
  if (error == E::Connection || error == E::BindIPAddress) return httplib_says::no_connection;
  if (error == E::ConnectionTimeout) return httplib_says::connect_timeout;
  if (error == E::SSLConnection) return httplib_says::tls;
  if (error == E::SSLLoadingCerts) return httplib_says::tls_certificates;
  if (error == E::SSLServerVerification) return httplib_says::tls_verify;
  if (error == E::Write) return httplib_says::write;
  if constexpr (requires { E::SSLServerHostnameVerification; }) {  // 0.18
    if (error == E::SSLServerHostnameVerification) return httplib_says::tls_verify;
  }
  if constexpr (requires { E::ProxyConnection; }) {  // 0.13.2
    if (error == E::ProxyConnection) return httplib_says::no_connection;
  }
  return httplib_says::other;
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
