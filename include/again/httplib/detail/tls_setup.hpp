// SPDX-License-Identifier: MIT
/// \file
/// `tls_roots`, `context_of`: TLS under cpp-httplib. One set of trusted certificates for all connections.
#pragma once

#include <again/httplib/detail/httplib_versions.hpp>

#include <string>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)

#include <memory>
#include <mutex>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Trusted certificates, read on first use and shared: reading the system's bundle costs 20 ms and 800 KiB each time. Owns them;
/// each client holds a reference. Any thread.
class tls_roots {
 public:
  /// `file`: PEM; empty: the system's.
  explicit tls_roots(std::string file) : file_{std::move(file)} {}

  /// Null if they cannot be read.
  X509_STORE* store() {
    const std::lock_guard lock{mutex_};
    if (!tried_) {
      tried_ = true;
      std::unique_ptr<X509_STORE, void (*)(X509_STORE*)> fresh{X509_STORE_new(), X509_STORE_free};
      if (fresh) {
        const int read = file_.empty() ? X509_STORE_set_default_paths(fresh.get())
                                       : X509_STORE_load_locations(fresh.get(), file_.c_str(), nullptr);
        if (read == 1) store_ = std::move(fresh);
      }
      ERR_clear_error();
    }
    return store_.get();
  }

 private:
  const std::string file_;
  std::mutex mutex_;
  bool tried_ = false;
  std::unique_ptr<X509_STORE, void (*)(X509_STORE*)> store_{nullptr, X509_STORE_free};
};

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
/// Without TLS there is nothing to trust.
class tls_roots {
 public:
  explicit tls_roots(const std::string&) {}
};
}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again

#endif
