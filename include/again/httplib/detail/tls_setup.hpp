// SPDX-License-Identifier: MIT
/// \file
/// `context_of`: TLS under cpp-httplib, where it was built with it.
#pragma once

#include <again/httplib/detail/httplib_versions.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)

#include <again/net/detail/tls_credentials.hpp>

#include <openssl/ssl.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// The OpenSSL context of a client, by whichever name its version has for it.
template <class Client> SSL_CTX* context_of(Client& client) noexcept {
  if constexpr (requires { static_cast<SSL_CTX*>(client.tls_context()); }) {  // 0.31
    return static_cast<SSL_CTX*>(client.tls_context());
  } else {
    return client.ssl_context();
  }
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again

#else

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {
struct tls_files {
  std::string cacert, client_certificate, client_key;
};
/// Without TLS there is nobody to trust.
class tls_credentials {
 public:
  tls_credentials(const tls_files& files, std::string_view whose) {
    if (!files.cacert.empty() || !files.client_certificate.empty() || !files.client_key.empty()) {
      throw std::invalid_argument{std::string{whose} +
                                  ": cacert, client_certificate: this program's cpp-httplib was built without TLS"};
    }
  }
};
}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again

#endif
