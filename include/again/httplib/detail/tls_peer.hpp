// SPDX-License-Identifier: MIT
/// \file
/// `tls_peer`: who the other side of a TLS connection has to be, and OpenSSL's reason where it is not, or where the session fails.
#pragma once

#include <again/httplib/detail/diagnose.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/socket_watch.hpp>
#include <again/httplib/detail/tls_setup.hpp>
#include <again/net/detail/resolver.hpp>

#include <string>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Checks the peer's certificate inside OpenSSL's own verification, so that a handshake with anyone else fails. cpp-httplib's check is
/// switched off: it takes a common name although there are alternative names, a bare "*", and "f*.example", and it minds upper case.
/// The rules are RFC 9525's: alternative names alone, a wildcard is one whole label, and an address matches an address only.
///
/// Callbacks of OpenSSL write here and tell the socket watch. They run inside calls that the sending thread makes, and so every
/// member is for that thread.
class tls_peer {
 public:
  /// `host`: a name or an address, as in a URL. `watch` must outlive this.
  tls_peer(const std::string& host, socket_watch& watch)
      : host_{host.ends_with('.') ? host.substr(0, host.size() - 1) : host},
        address_{numeric_address(host_)},
        watch_{watch} {}
  tls_peer(const tls_peer&) = delete;
  tls_peer& operator=(const tls_peer&) = delete;
  ~tls_peer() = default;

  /// For all handshakes of `context`, which must not outlive this. Trusts what `roots` holds.
  void guard(SSL_CTX* context, X509_STORE* roots) noexcept {
    SSL_CTX_set1_cert_store(context, roots);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(
        context, [](X509_STORE_CTX* chain, void* self) { return static_cast<tls_peer*>(self)->verify(chain); }, this);
    SSL_CTX_set_ex_data(context, slot(), this);
    SSL_CTX_set_info_callback(context, [](const SSL* ssl, int where, int value) {
      auto* const peer = static_cast<tls_peer*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot()));
      if (peer != nullptr) peer->noticed(ssl, where, value);
    });
  }

  /// An attempt begins, on an open connection or on none.
  void begin() noexcept {
    ERR_clear_error();  // what other connections of this thread have left
    verify_error_ = X509_V_OK;
    handshake_error_ = 0;
    system_error_ = 0;
    alert_ = nullptr;
    unverified_ = false;
  }

  /// Adds what OpenSSL has said to the diagnosis of an attempt that failed.
  void explain(diagnosis& d) const {
    if (verify_error_ != X509_V_OK || unverified_) {
      d = {false, error_kind::tls_verify, reach::not_sent, "the peer's certificate is not one we trust for this host"};
      d.text +=
          unverified_ ? ": it was not verified" : std::string{": "} + X509_verify_cert_error_string(verify_error_);
    } else if (d.kind == error_kind::tls_handshake) {
      if (handshake_error_ != 0) {
        d.text += ": " + openssl_reason(handshake_error_);
      } else if (system_error_ != 0) {
        d.text += ": " + std::system_category().message(system_error_);
      }
    } else if (alert_ != nullptr && d.reach != reach::answered) {
      d.kind = error_kind::tls_handshake;
      d.text = std::string{"the peer ended the TLS session: "} + alert_;
    }
  }

 private:
  static int slot() noexcept {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }

  int verify(X509_STORE_CTX* chain) noexcept {
    verified_ = verify_peer(chain, host_, address_);
    if (!verified_) verify_error_ = X509_STORE_CTX_get_error(chain);
    return verified_ ? 1 : 0;
  }

  void noticed(const SSL* ssl, int where, int value) noexcept {
    if ((where & SSL_CB_HANDSHAKE_START) != 0) first_handshake(ssl);
    if (where == SSL_CB_CONNECT_EXIT && value <= 0) {  // of which the queue holds this call's errors alone
      handshake_error_ = ERR_peek_error();
      const bool waits = BIO_should_retry(SSL_get_rbio(ssl)) != 0 || BIO_should_retry(SSL_get_wbio(ssl)) != 0;
      system_error_ = waits ? 0 : errno;
    }
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
      if ((value & 0xff) == SSL_AD_CLOSE_NOTIFY) {
        watch_.close_notified();
      } else if (value >> 8 == SSL3_AL_FATAL) {
        alert_ = SSL_alert_desc_string_long(value);
      }
    }
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
      if (verified_) return watch_.secured();
      unverified_ = true;  // whatever has switched our check off: not a byte of a request goes there
      watch_.shut_down();
    }
  }
  /// Of this socket; later ones are renegotiations and new session tickets.
  void first_handshake(const SSL* ssl) noexcept {
    BIO* const bio = SSL_get_rbio(ssl);
    if (bio == nullptr || BIO_get_callback_arg(bio) != nullptr) return;
    verified_ = false;
    // The server name is never an address and has no final dot (RFC 6066 3); some versions of the library send either.
    SSL_ctrl(const_cast<SSL*>(ssl), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             address_ ? nullptr : const_cast<char*>(host_.c_str()));
    watch_.handshake_begins(SSL_get_fd(ssl));
    BIO_set_callback_arg(bio, reinterpret_cast<char*>(&watch_));
    BIO_set_callback_ex(
        bio, [](BIO* b, int operation, const char*, std::size_t, int, long, int result, std::size_t*) -> long {
          const bool over = result <= 0 && BIO_should_retry(b) == 0;
          auto& told = *reinterpret_cast<socket_watch*>(BIO_get_callback_arg(b));
          if (operation == (BIO_CB_READ | BIO_CB_RETURN) && over) told.ended(result == 0);
          if (operation == (BIO_CB_WRITE | BIO_CB_RETURN) && over) told.ended(false);
          if (operation == BIO_CB_FREE) told.closing();  // the library frees the session, then closes the socket
          return result;
        });
  }

  const std::string host_;  // without the final dot that no certificate has
  const bool address_;
  socket_watch& watch_;
  bool verified_ = false;              // the peer of the session that there is
  bool unverified_ = false;            // a handshake has finished without our check
  long verify_error_ = X509_V_OK;      // why our check has failed
  unsigned long handshake_error_ = 0;  // in OpenSSL's code
  int system_error_ = 0;               // errno, where OpenSSL has none
  const char* alert_ = nullptr;        // the one with which the peer ended the session; static storage
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again

#else

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {
/// Without TLS there is no peer to prove its name.
class tls_peer {
 public:
  tls_peer(const std::string&, socket_watch&) noexcept {}
  static void begin() noexcept {}
  static void explain(diagnosis&) noexcept {}
};
}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again

#endif
