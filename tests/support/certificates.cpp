// SPDX-License-Identifier: MIT
#include "certificates.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace again_test {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using x509_ptr = std::unique_ptr<X509, freed_by<X509_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, freed_by<X509_EXTENSION_free>>;

constexpr long one_day = 24L * 60 * 60;

[[noreturn]] void fail(const char* doing) {
  char text[256] = "no reason given";
  if (const auto code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  throw std::runtime_error(std::string("test certificates: ") + doing + ": " + text);
}

/// Who a certificate is for, and for how long it holds.
struct wish {
  const char* common_name;
  const char* names;  // subjectAltName, or null
  const char* usage;  // extendedKeyUsage, or null
  bool authority = false;
  long from = -one_day;  // seconds from now
  long until = 7 * one_day;
};

key_ptr new_key() {
  char curve[] = "P-256";  // what the macro EVP_EC_gen does, without casting const away
  key_ptr key{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve)};
  if (!key) fail("making a key");
  return key;
}

void add(X509* to, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const extension_ptr extension{X509V3_EXT_conf_nid(nullptr, &context, kind, value)};
  if (!extension || X509_add_ext(to, extension.get(), -1) != 1) fail("adding an extension");
}

/// A certificate for `key`; without an issuer it signs itself.
x509_ptr sign(const wish& w, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  x509_ptr made{X509_new()};
  if (!made) fail("making a certificate");
  X509* const x = made.get();
  unsigned char serial[8] = {};
  if (RAND_bytes(serial, sizeof serial) != 1) fail("drawing a serial number");
  std::uint64_t number = 0;
  for (const unsigned char byte : serial) number = number << 8 | byte;
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1);
  X509_set_version(x, X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(x), w.from);
  X509_gmtime_adj(X509_getm_notAfter(x), w.until);
  const auto* const name = reinterpret_cast<const unsigned char*>(w.common_name);
  if (X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, name, -1, -1, 0) != 1) fail("naming");
  X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
  X509_set_pubkey(x, key);
  add(x, issuer ? issuer : x, NID_basic_constraints, w.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add(x, issuer ? issuer : x, NID_subject_key_identifier, "hash");
  if (w.authority) add(x, issuer ? issuer : x, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (w.names) add(x, issuer ? issuer : x, NID_subject_alt_name, w.names);
  if (w.usage) add(x, issuer ? issuer : x, NID_ext_key_usage, w.usage);
  if (X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()) == 0) fail("signing");
  return made;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem(X509* x) {
  const bio_ptr bio{BIO_new(BIO_s_mem())};
  if (!bio || PEM_write_bio_X509(bio.get(), x) != 1) fail("writing a certificate");
  return text_of(bio.get());
}

std::string pem(EVP_PKEY* key) {
  const bio_ptr bio{BIO_new(BIO_s_mem())};
  if (!bio || PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    fail("writing a key");
  return text_of(bio.get());
}

x509_ptr certificate_in(const std::string& text) {
  const bio_ptr bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  x509_ptr read{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
  if (!read) fail("reading a certificate");
  return read;
}

key_ptr key_in(const std::string& text) {
  const bio_ptr bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  key_ptr read{PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr)};
  if (!read) fail("reading a key");
  return read;
}

const char* file_name(certificate which) {
  switch (which) {
    case certificate::trusted: return "trusted";
    case certificate::self_signed: return "self_signed";
    case certificate::wrong_host: return "wrong_host";
    case certificate::expired: return "expired";
    case certificate::client: return "client";
  }
  throw std::invalid_argument("test certificates: no such certificate");
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("test certificates: cannot write " + file.string());
}

}  // namespace

certificates::certificates() {
  constexpr const char* here = "DNS:localhost,IP:127.0.0.1,IP:::1";
  const key_ptr root_key = new_key();
  const x509_ptr root = sign({"again test authority", nullptr, nullptr, true}, root_key.get(), nullptr, nullptr);
  authority_ = pem(root.get());
  authority_key_ = pem(root_key.get());
  const auto issue = [&](certificate which, const wish& w, bool by_authority = true) {
    const key_ptr key = new_key();
    const x509_ptr made =
        by_authority ? sign(w, key.get(), root.get(), root_key.get()) : sign(w, key.get(), nullptr, nullptr);
    pairs_[which] = {pem(made.get()), pem(key.get())};
  };
  issue(certificate::trusted, {"localhost", here, "serverAuth"});
  issue(certificate::self_signed, {"localhost", here, "serverAuth"}, false);
  issue(certificate::wrong_host, {"wrong.example", "DNS:wrong.example", "serverAuth"});
  issue(certificate::expired, {"localhost", here, "serverAuth", false, -2 * one_day, -one_day});
  issue(certificate::client, {"again test client", nullptr, "clientAuth"});

  std::string pattern = (std::filesystem::temp_directory_path() / "again-certificates-XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    throw std::runtime_error("test certificates: cannot make a directory like " + pattern);
  folder_ = pattern;
  write(authority_file(), authority_);
  for (const auto& [which, made] : pairs_) {
    write(certificate_file(which), made.certificate_pem);
    write(key_file(which), made.key_pem);
  }
}

certificates::~certificates() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

key_pair certificates::issue(const std::string& common_name, const std::string& names) const {
  const x509_ptr root = certificate_in(authority_);
  const key_ptr root_key = key_in(authority_key_);
  const key_ptr key = new_key();
  const x509_ptr made = sign({common_name.c_str(), names.empty() ? nullptr : names.c_str(), "serverAuth"}, key.get(),
                             root.get(), root_key.get());
  return {pem(made.get()), pem(key.get())};
}

const certificates& certificates::shared() {
  static const certificates all;
  return all;
}

std::filesystem::path certificates::certificate_file(certificate which) const {
  return folder_ / (std::string(file_name(which)) + ".pem");
}

std::filesystem::path certificates::key_file(certificate which) const {
  return folder_ / (std::string(file_name(which)) + ".key");
}

}  // namespace again_test
