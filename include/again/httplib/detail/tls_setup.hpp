// SPDX-License-Identifier: MIT
/// \file
/// `tls_roots`, `report_to`: TLS under cpp-httplib. One set of trusted certificates for all connections, and callbacks of OpenSSL
/// that say when the handshake has finished and how the connection ended.
#pragma once

#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/socket_watch.hpp>

#include <string>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)

#include <memory>
#include <mutex>
#include <utility>

#include <openssl/bio.h>
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
        // cpp-httplib will add this directory to it (see use_roots). Once it is known, adding it again changes nothing.
        if (read == 1) X509_STORE_load_locations(fresh.get(), nullptr, no_directory);
        if (read == 1) store_ = std::move(fresh);
      }
      ERR_clear_error();
    }
    return store_.get();
  }

  static constexpr const char* no_directory = "/nonexistent";

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

/// Makes `client` trust `roots` and nothing else. Versions before 0.31 add the system's bundle to any store set this way, unless
/// they were given a directory of certificates: hence the one that does not exist.
template <class Client> bool use_roots(Client& client, tls_roots& roots) {
  X509_STORE* const store = roots.store();
  if (store == nullptr) return false;
  X509_STORE_up_ref(store);
  client.set_ca_cert_store(store);  // takes over the reference
  client.set_ca_cert_path("", tls_roots::no_directory);
  client.enable_server_certificate_verification(true);
  return true;
}

inline int watch_slot() noexcept {
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

/// Reports the end of the first handshake, and how reads on the socket end, to `watch`, which must outlive the client.
inline void report_to(SSL_CTX* context, socket_watch& watch) noexcept {
  SSL_CTX_set_ex_data(context, watch_slot(), &watch);
  SSL_CTX_set_info_callback(context, [](const SSL* ssl, int where, int value) {
    auto* const w = static_cast<socket_watch*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), watch_slot()));
    if (w == nullptr) return;
    if ((where & SSL_CB_HANDSHAKE_START) != 0) {
      BIO* const bio = SSL_get_rbio(ssl);
      if (bio == nullptr || BIO_get_callback_arg(bio) != nullptr) return;
      BIO_set_callback_arg(bio, reinterpret_cast<char*>(w));
      BIO_set_callback_ex(
          bio, [](BIO* b, int operation, const char*, std::size_t, int, long, int result, std::size_t*) -> long {
            const bool over = result <= 0 && BIO_should_retry(b) == 0;
            auto& told = *reinterpret_cast<socket_watch*>(BIO_get_callback_arg(b));
            if (operation == (BIO_CB_READ | BIO_CB_RETURN) && over) told.ended(result == 0);
            if (operation == (BIO_CB_WRITE | BIO_CB_RETURN) && over) told.ended(false);
            return result;
          });
    }
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) == SSL_AD_CLOSE_NOTIFY) w->close_notified();
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) w->secured();
  });
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
