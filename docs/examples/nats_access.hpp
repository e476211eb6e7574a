// SPDX-License-Identifier: MIT
// How a journal on NATS JetStream is reached: what the command line says besides nats://HOST,HOST/STREAM.
#pragma once

#include "options.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace programs {

struct nats_access {
  std::string credentials{}, token_file{}, ca{}, certificate{}, key{};
  int replicas = 0;  // 0: what the stream has

  bool given() const noexcept {
    return replicas != 0 || !credentials.empty() || !token_file.empty() || !ca.empty() || !certificate.empty() ||
           !key.empty();
  }
  void add_to(options& o) {
    const auto file = [&o](const char* name, const char* help, std::string& to) {
      o.with(name, "FILE", help, [&to](std::string_view v) { to = v; });
    };
    file("--journal-credentials", "a file of NATS credentials (.creds)", credentials);
    file("--journal-token-file", "a file with the token that the NATS servers want", token_file);
    file("--journal-ca", "the authorities that have signed the certificates of the NATS servers; then TLS is a must",
         ca);
    file("--journal-cert", "the certificate of this client, for NATS servers that want one", certificate);
    file("--journal-key", "its private key", key);
  }
  /// Takes its flags out of the words of a command, and gives the others. Throws usage_error.
  std::vector<std::string> taken_from(std::string command, std::vector<std::string> words) {
    options o{command, "[options] COMMAND FILE [...]"};
    add_to(o);
    std::vector<char*> argv{command.data()};
    for (std::string& word : words) argv.push_back(word.data());
    return o.parse(static_cast<int>(argv.size()), argv.data());
  }
};

inline bool is_nats_place(std::string_view place) noexcept { return place.starts_with("nats://"); }

}  // namespace programs
