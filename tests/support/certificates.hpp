// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace again_test {

/// What is right or wrong with a certificate that a test server shows.
enum class certificate {
  trusted,      ///< signed by the test authority, for localhost, 127.0.0.1 and ::1
  self_signed,  ///< for the right names, but no authority signed it
  wrong_host,   ///< signed by the test authority, for wrong.example only
  expired,      ///< signed by the test authority, right names, ended yesterday
  client,       ///< signed by the test authority, for a client that has to show one
};

/// A certificate with its private key, both as PEM text.
struct key_pair {
  std::string certificate_pem;
  std::string key_pem;
};

/// A certificate authority for tests and all the certificates above, made when constructed (P-256 keys, a few milliseconds
/// each), so that nothing expires in a repository and no private key lies in one. The PEM files are in a directory of
/// their own under the temporary directory, which is removed with the object. Throws std::runtime_error with OpenSSL's text.
class certificates {
 public:
  certificates();
  ~certificates();
  certificates(const certificates&) = delete;
  certificates& operator=(const certificates&) = delete;

  /// One set for the whole program, made on first use; any thread.
  static const certificates& shared();

  const std::string& authority_pem() const noexcept { return authority_; }
  const key_pair& pair(certificate which) const { return pairs_.at(which); }

  /// One more, signed by the test authority for a server: its common name, and its alternative names as OpenSSL writes them
  /// ("DNS:a.example,IP:::1"; empty: none).
  key_pair issue(const std::string& common_name, const std::string& names = {}) const;

  /// For clients that want file names: the authority to trust, and each certificate with its key.
  std::filesystem::path authority_file() const { return folder_ / "authority.pem"; }
  std::filesystem::path certificate_file(certificate which) const;
  std::filesystem::path key_file(certificate which) const;

 private:
  std::string authority_, authority_key_;
  std::map<certificate, key_pair> pairs_;
  std::filesystem::path folder_;
};

}  // namespace again_test
