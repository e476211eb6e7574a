// SPDX-License-Identifier: MIT
/// \file
/// `tls_context` and `tls_session`: TLS on a socket of ours that never blocks, by OpenSSL.
///
/// OpenSSL reads and writes the socket through a BIO of ours and not through Asio's `ssl::stream`: that holds two buffers of 17 KiB for
/// each connection, and cannot tell how the connection ended nor how much of a request has gone out (docs/decisions/0020-tls.md).
#pragma once

#include <again/beast/detail/library.hpp>
#include <again/core/detail/compiler.hpp>
#include <again/net/detail/diagnosis.hpp>
#include <again/net/detail/resolver.hpp>
#include <again/net/detail/tls_credentials.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// What one call to read or write has come to.
struct progress {
  std::ptrdiff_t n = -1;  ///< bytes; 0 of a read: the peer has ended the connection in order
  short needs = 0;        ///< nothing yet: POLLIN or POLLOUT
  int error = 0;          ///< failed: errno; 0: only TLS knows why
};

/// What a later connection to the same origin can go on with. In the pool's turns.
class tls_memory {
 public:
  tls_memory() noexcept = default;
  tls_memory(const tls_memory&) = delete;
  tls_memory& operator=(const tls_memory&) = delete;
  ~tls_memory() { keep(nullptr); }

  SSL_SESSION* last() const noexcept { return last_; }
  /// Takes it over.
  void keep(SSL_SESSION* s) noexcept { SSL_SESSION_free(std::exchange(last_, s)); }

 private:
  SSL_SESSION* last_ = nullptr;
};

/// The SHA-256 of a public key, as curl's --pinnedpubkey takes it: "sha256//BASE64"; several are separated by ";". Throws
/// std::invalid_argument.
class pinned_keys {
 public:
  explicit pinned_keys(std::string_view text) {
    while (!text.empty()) {
      const std::string_view one = text.substr(0, text.find(';'));
      text.remove_prefix(std::min(text.size(), one.size() + 1));
      constexpr std::string_view scheme = "sha256//";
      const std::string_view digest = one.starts_with(scheme) ? one.substr(scheme.size()) : std::string_view{};
      if (digest.size() != 44 || digest.back() != '=') {
        throw std::invalid_argument{
            "again: beast::options: pinned_public_key: write sha256//, then the SHA-256 of the public key in base64"};
      }
      digests_.emplace_back(digest);
    }
  }
  bool empty() const noexcept { return digests_.empty(); }
  bool allow(SSL* session) const {
    if (digests_.empty()) return true;
    X509* const peer = SSL_get_peer_certificate(session);
    unsigned char* der = nullptr;
    const int size = peer != nullptr ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(peer), &der) : -1;
    unsigned char digest[32] = {}, text[45] = {};
    const bool known =
        size > 0 && EVP_Digest(der, static_cast<std::size_t>(size), digest, nullptr, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(der);
    X509_free(peer);
    if (!known) return false;
    EVP_EncodeBlock(text, digest, sizeof digest);
    return std::find(digests_.begin(), digests_.end(), reinterpret_cast<const char*>(text)) != digests_.end();
  }

 private:
  std::vector<std::string> digests_;
};

class tls_session;

/// One for a transport. Owns OpenSSL's context. Made in the constructor of the transport, used in the pool's turns.
class tls_context {
 public:
  /// Reads the files. Throws std::invalid_argument.
  tls_context(const http::detail::tls_files& files, std::string_view pinned)
      : credentials_{files, "again: beast::options"}, pins_{pinned} {}

  /// The context, with the system's certificates if no others were named: they are read when they are first needed. Null: no memory,
  /// or they cannot be read.
  SSL_CTX* get() noexcept;
  const pinned_keys& pins() const noexcept { return pins_; }

 private:
  http::detail::tls_credentials credentials_;
  pinned_keys pins_;
  http::detail::context_ptr context_;
};

/// One connection's session. Refers to the socket, and to the memory of its origin. In the pool's turns.
class tls_session {
 public:
  /// `host`: a name or an address, as in a URL. Not usable, and `handshake` says so, where there is no memory for it.
  tls_session(tls_context& context, int fd, const std::string& host, tls_memory& memory)
      : context_{context},
        memory_{memory},
        fd_{fd},
        host_{host.ends_with('.') ? host.substr(0, host.size() - 1) : host},
        address_{http::detail::numeric_address(host_)} {
    SSL_CTX* const c = context.get();
    if (c == nullptr) return;
    ssl_.reset(SSL_new(c));
    BIO* const bio = ssl_ ? BIO_new(method()) : nullptr;
    if (bio == nullptr) {
      ssl_.reset();
      return;
    }
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_ex_data(ssl_.get(), slot(), this);
    // The server name is never an address and has no final dot (RFC 6066 3).
    if (!address_)
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host_.c_str()));
    if (memory_.last() != nullptr) SSL_set_session(ssl_.get(), memory_.last());
    SSL_set_connect_state(ssl_.get());
  }
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;
  ~tls_session() = default;

  /// n > 0: the session is there, with the peer that it has to be.
  progress handshake() {
    if (!ssl_) return {.error = ENOMEM};
    const int n = call([&] { return SSL_do_handshake(ssl_.get()); });
    if (n != 1) {
      failure_ = ERR_peek_error();
      return outcome(n);
    }
    // A session that is gone on with was verified when it began.
    if (SSL_session_reused(ssl_.get()) == 1) verified_ = SSL_get_verify_result(ssl_.get()) == X509_V_OK;
    if (verified_ && context_.pins().allow(ssl_.get())) return {.n = 1};
    wrong_key_ = verified_;
    return {};
  }
  /// Why the handshake has failed.
  http::detail::diagnosis diagnose_handshake(int error) const {
    using http::error_kind;
    if (!ssl_) return {false, error_kind::shortage, reach::not_sent, "no memory for a TLS context or its certificates"};
    if (wrong_key_)
      return {false, error_kind::tls_verify, reach::not_sent, "the peer's public key is not one of those pinned"};
    if (verify_error_ != X509_V_OK ||
        (failure_ == 0 && error == 0 && !verified_ && SSL_is_init_finished(ssl_.get()) == 1)) {
      std::string text = "the peer's certificate is not one we trust for this host: ";
      text += verify_error_ != X509_V_OK ? X509_verify_cert_error_string(verify_error_) : "it was not verified";
      return {false, error_kind::tls_verify, reach::not_sent, std::move(text)};
    }
    std::string text = "the TLS handshake failed";
    if (failure_ != 0) {
      text += ": " + http::detail::openssl_reason(failure_);
    } else if (error != 0) {
      text += ": " + http::detail::reason_of(error);
    }
    return {false, error_kind::tls_handshake, reach::not_sent, std::move(text)};
  }
  /// With which the peer ended the session; null: none. Static storage.
  const char* alert() const noexcept { return alert_; }

  progress read(std::span<char> into) noexcept {
    const int n = call([&] { return SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size())); });
    return n > 0 ? progress{.n = n} : outcome(n);
  }
  /// One record at most: OpenSSL wants a write that it could not finish again as it was.
  progress write(std::string_view from) noexcept {
    const int size = static_cast<int>(std::min<std::size_t>(from.size(), SSL3_RT_MAX_PLAIN_LENGTH));
    const int n = call([&] { return SSL_write(ssl_.get(), from.data(), size); });
    return n > 0 ? progress{.n = n} : outcome(n);
  }
  /// Tells the peer that this was all (RFC 9112 9.8), if it still takes it.
  void close_notify() noexcept {
    if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) call([&] { return SSL_shutdown(ssl_.get()); });
  }

 private:
  friend class tls_context;
  struct free_session {
    void operator()(SSL* s) const noexcept { SSL_free(s); }
  };

  template <class F> int call(F f) noexcept {
    ERR_clear_error();
    system_error_ = 0;
    ended_ = false;
    return f();
  }
  progress outcome(int n) const noexcept {
    switch (SSL_get_error(ssl_.get(), n)) {
      case SSL_ERROR_ZERO_RETURN: return {.n = 0};
      case SSL_ERROR_WANT_READ: return {.needs = POLLIN};
      case SSL_ERROR_WANT_WRITE: return {.needs = POLLOUT};
      default: return {.error = system_error_};  // a connection that ends without close_notify is cut (RFC 9112 9.8)
    }
  }

  int verify(X509_STORE_CTX* chain) noexcept {
    verified_ = http::detail::verify_peer(chain, host_, address_);
    if (!verified_) verify_error_ = X509_STORE_CTX_get_error(chain);
    return verified_ ? 1 : 0;
  }
  static tls_session* of(const SSL* s) noexcept { return static_cast<tls_session*>(SSL_get_ex_data(s, slot())); }
  static int slot() noexcept {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }

  // OpenSSL's way to the socket. It lives as long as the process.
  static BIO_METHOD* method() noexcept {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "again::beast");
      if (m == nullptr) return m;
      BIO_meth_set_read(m, [](BIO* b, char* into, int size) {
        return self(b).moved(b, ::recv(self(b).fd_, into, static_cast<std::size_t>(size), 0), BIO_FLAGS_READ);
      });
      BIO_meth_set_write(m, [](BIO* b, const char* from, int size) {
        return self(b).moved(b, ::send(self(b).fd_, from, static_cast<std::size_t>(size), MSG_NOSIGNAL),
                             BIO_FLAGS_WRITE);
      });
      BIO_meth_set_ctrl(m, [](BIO* b, int what, long /*number*/, void* /*pointer*/) -> long {
        return what == BIO_CTRL_FLUSH ? 1 : what == BIO_CTRL_EOF ? (self(b).ended_ ? 1 : 0) : 0;
      });
      return m;
    }();
    return made;
  }
  static tls_session& self(BIO* b) noexcept { return *static_cast<tls_session*>(BIO_get_data(b)); }
  int moved(BIO* b, ::ssize_t n, int direction) noexcept {
    BIO_clear_retry_flags(b);
    if (n >= 0) {
      ended_ = n == 0 && direction == BIO_FLAGS_READ;
      return static_cast<int>(n);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      BIO_set_flags(b, direction | BIO_FLAGS_SHOULD_RETRY);
    } else {
      system_error_ = errno;
    }
    return -1;
  }

  tls_context& context_;
  tls_memory& memory_;
  const int fd_;
  const std::string host_;  // without the final dot that no certificate has
  const bool address_;
  std::unique_ptr<SSL, free_session> ssl_;
  bool verified_ = false, wrong_key_ = false;
  bool ended_ = false;             // the last read of the socket has found its end
  int system_error_ = 0;           // errno of the last read or write of the socket
  long verify_error_ = X509_V_OK;  // why our check has failed
  unsigned long failure_ = 0;      // of the handshake, in OpenSSL's code
  const char* alert_ = nullptr;
};

inline SSL_CTX* tls_context::get() noexcept {
  if (context_) return context_.get();
  X509_STORE* const trusted = credentials_.trusted();
  if (trusted == nullptr) return nullptr;
  http::detail::context_ptr fresh{SSL_CTX_new(TLS_client_method())};
  if (!fresh || SSL_CTX_set_min_proto_version(fresh.get(), TLS1_2_VERSION) != 1 || !credentials_.show_in(fresh.get())) {
    return nullptr;
  }
  SSL_CTX_set1_cert_store(fresh.get(), trusted);
  SSL_CTX_set_verify(fresh.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(
      fresh.get(),
      [](X509_STORE_CTX* chain, void* /*argument*/) {
        const auto* const ssl =
            static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
        return tls_session::of(ssl)->verify(chain);
      },
      nullptr);
  // Kept by us, for each origin: OpenSSL's own cache is for servers.
  SSL_CTX_set_session_cache_mode(fresh.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(fresh.get(), [](SSL* ssl, SSL_SESSION* s) {
    tls_session& session = *tls_session::of(ssl);
    if (!session.verified_) return 0;
    session.memory_.keep(s);
    return 1;
  });
  SSL_CTX_set_info_callback(fresh.get(), [](const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || value >> 8 != SSL3_AL_FATAL) return;
    tls_session::of(ssl)->alert_ = SSL_alert_desc_string_long(value);
  });
  // Buffers only while something is read or written; and what is written may move to another buffer between two tries.
  SSL_CTX_set_mode(fresh.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  static constexpr unsigned char protocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  if (SSL_CTX_set_alpn_protos(fresh.get(), protocols, sizeof protocols) != 0) return nullptr;
  context_ = std::move(fresh);
  return context_.get();
}

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
