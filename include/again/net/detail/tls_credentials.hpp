// SPDX-License-Identifier: MIT
/// \file
/// `tls_credentials`: whom a transport trusts, and who it is; `verify_peer`: who the other side has to be. Over OpenSSL.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/invalid.hpp>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// OpenSSL's words for `code`, an entry of its error queue.
inline std::string openssl_reason(unsigned long code) {
  if (ERR_SYSTEM_ERROR(code)) return std::system_category().message(ERR_GET_REASON(code));
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code) + " of OpenSSL";
}

struct free_store {
  void operator()(X509_STORE* s) const noexcept { X509_STORE_free(s); }
};
using store_ptr = std::unique_ptr<X509_STORE, free_store>;

/// Does `store` hold a certificate? A file may hold revocation lists alone.
inline bool holds_certificate(X509_STORE* store) noexcept {
  STACK_OF(X509_OBJECT)* const all = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(all); ++i)
    if (X509_OBJECT_get_type(sk_X509_OBJECT_value(all, i)) == X509_LU_X509) return true;
  return false;
}

/// The certificates in the PEM file `file`, or the reason why there are none.
inline expected<store_ptr, invalid> read_roots(const std::string& file) {
  ERR_clear_error();
  store_ptr store{X509_STORE_new()};
  std::string reason;
  if (!store || X509_STORE_load_locations(store.get(), file.c_str(), nullptr) != 1) {
    reason = openssl_reason(ERR_peek_error());
  } else if (!holds_certificate(store.get())) {
    reason = "no certificate in it";
  }
  ERR_clear_error();
  if (reason.empty()) return store;
  return unexpected<invalid>{invalid{"'" + file + "': " + reason}};
}

/// A context that holds what a client shows of itself: its certificate, the issuers behind it, and its key.
struct free_context {
  void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
};
using context_ptr = std::unique_ptr<SSL_CTX, free_context>;

/// Reads the PEM files of a client's certificate and key, or says what is wrong with which.
inline expected<context_ptr, invalid> read_own_certificate(const std::string& certificate, const std::string& key) {
  ERR_clear_error();
  context_ptr own{SSL_CTX_new(TLS_client_method())};
  // A key with a password would be asked for on the terminal.
  if (own) SSL_CTX_set_default_passwd_cb(own.get(), [](char*, int, int, void*) { return -1; });
  std::string reason;
  if (!own || SSL_CTX_use_certificate_chain_file(own.get(), certificate.c_str()) != 1) {
    reason = "client_certificate: '" + certificate + "': " + openssl_reason(ERR_peek_error());
  } else if (SSL_CTX_use_PrivateKey_file(own.get(), key.c_str(), SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(own.get()) != 1) {
    reason = "client_key: '" + key + "': " + openssl_reason(ERR_peek_last_error());
  }
  ERR_clear_error();
  if (reason.empty()) return own;
  return unexpected<invalid>{invalid{std::move(reason)}};
}

/// Paths of PEM files; empty: as the options of a transport say.
struct tls_files {
  std::string cacert, client_certificate, client_key;
};

/// Whom we trust and who we are, shared by all connections: reading the system's bundle costs 20 ms and 800 KiB each time. Owns
/// both; each client holds references. Any thread: what is ours is constant.
class tls_credentials {
 public:
  /// Reads the files; the system's certificates on first use. Throws std::invalid_argument with `whose` options these are, the path
  /// and OpenSSL's reason.
  tls_credentials(const tls_files& files, std::string_view whose) {
    if (!files.cacert.empty()) {
      auto read = read_roots(files.cacert);
      if (!read) refuse(whose, "cacert: " + read.error().text());
      trusted_ = std::move(*read);
    }
    if (!files.client_certificate.empty()) {
      auto read = read_own_certificate(files.client_certificate,
                                       files.client_key.empty() ? files.client_certificate : files.client_key);
      if (!read) refuse(whose, read.error().text());
      own_ = std::move(*read);
    } else if (!files.client_key.empty()) {
      refuse(whose, "client_key without client_certificate");
    }
  }

  /// Null if they cannot be read.
  X509_STORE* trusted() {
    const std::lock_guard lock{mutex_};
    if (!trusted_) {
      store_ptr fresh{X509_STORE_new()};
      if (fresh && X509_STORE_set_default_paths(fresh.get()) == 1) trusted_ = std::move(fresh);
      ERR_clear_error();
    }
    return trusted_.get();
  }
  /// Lets the sessions of `context` show our certificate to a server that asks for it. False: no memory.
  bool show_in(SSL_CTX* context) const noexcept {
    if (!own_) return true;
    STACK_OF(X509)* issuers = nullptr;
    SSL_CTX_ctrl(own_.get(), SSL_CTRL_GET_CHAIN_CERTS, 0, static_cast<void*>(&issuers));
    return SSL_CTX_use_cert_and_key(context, SSL_CTX_get0_certificate(own_.get()), SSL_CTX_get0_privatekey(own_.get()),
                                    issuers, 1) == 1;
  }

 private:
  [[noreturn]] static void refuse(std::string_view whose, const std::string& why) {
    throw std::invalid_argument{std::string{whose} + ": " + why};
  }

  std::mutex mutex_;
  store_ptr trusted_;
  context_ptr own_;
};

/// Whether `chain` proves that the peer is `host` (a name without its final dot, or an address). To be called by OpenSSL's own
/// verification, so that a handshake with anyone else fails. The rules are RFC 9525's: alternative names alone, a wildcard is one
/// whole label, and an address matches an address only. False: the chain's error says why.
inline bool verify_peer(X509_STORE_CTX* chain, const std::string& host, bool is_address) noexcept {
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(chain);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const bool named = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1
                                : !host.empty() && X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) == 1;
  if (named && X509_verify_cert(chain) == 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK) return true;
  if (X509_STORE_CTX_get_error(chain) == X509_V_OK) X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
  return false;
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
