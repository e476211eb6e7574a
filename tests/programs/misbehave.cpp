// SPDX-License-Identifier: MIT
// misbehave SCRIPT [--tls] [--port N] [--key HEADER] [--keep N]: the misbehaving server as a program, for tests in other languages.
//
// SCRIPT is a file with a JSON array of steps in the format of tests/data/http_cases.json, or an object that maps keys to
// such arrays ("*" for the others), or `-` for none. The first line on stdout says where it listens. For each line on stdin it
// prints a line of counts; at the end of stdin it prints the last counts and stops.
#include "support/misbehaving_server.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using nlohmann::json;
using namespace again_test;

step step_of(const json& j) {
  const std::string what = j.at("do");
  const auto known = action_named(what);
  if (!known) throw std::invalid_argument{"no step is called '" + what + "'"};
  step s;
  s.what = *known;
  s.status = j.value("status", 200);
  s.content = j.contains("data") ? j.at("data").get<std::string>() : j.value("body", "");
  s.no_length = j.value("no_length", false);
  s.chunked = j.value("chunked", false);
  s.wait = std::chrono::milliseconds{j.value("ms", 0)};
  s.interval = std::chrono::milliseconds{j.value("interval_ms", s.what == action::drip ? 10 : 0)};
  if (j.contains("content_length")) s.content_length = j.at("content_length").get<std::size_t>();
  const json headers = j.value("headers", json::object());  // or an array of pairs, where a name comes twice
  for (const auto& [name, value] : headers.items()) {
    const bool pair = headers.is_array();
    s.headers.emplace_back(pair ? value.at(0).get<std::string>() : name,
                           (pair ? value.at(1) : value).get<std::string>());
  }
  const std::string end = j.value("end", "close");
  s.end = end == "rst" || end == "reset" ? ending::reset : end == "keep" ? ending::keep : ending::close;
  if (j.contains("then")) {
    const json& then = j.at("then");
    if (then.is_object())
      s.inner = std::make_shared<const step>(step_of(then));
    else if (then == "close")
      s.then = afterwards::close;
    else if (then == "keep")
      s.then = afterwards::keep;
    else if (then == "send_408_close")
      s.then = afterwards::send_408_close;
    else if (then == "send_extra_response")
      s.then = afterwards::send_extra_response;
    else
      throw std::invalid_argument{"'then' is not known: " + then.dump()};
  }
  return s;
}

std::vector<step> steps_of(const json& list) {
  std::vector<step> steps;
  for (const json& j : list) steps.push_back(step_of(j));
  return steps;
}

void say(const json& line) { std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl; }

json counts_of(const misbehaving_server& server) {
  const tally t = server.counts();
  json seen = json::array();
  for (const seen_request& r : server.requests()) {
    json headers = json::object();
    for (const auto& [name, value] : r.headers) headers[name] = value;
    seen.push_back({{"method", r.method},
                    {"target", r.target},
                    {"headers", std::move(headers)},
                    {"body", r.body},
                    {"connection", r.connection}});
  }
  return {{"requests", t.requests},     {"connections", t.connections}, {"overruns", t.overruns},
          {"steps_left", t.steps_left}, {"refused", t.refused},         {"by_key", server.requests_by_key()},
          {"seen", std::move(seen)}};
}

int serve(const std::vector<std::string>& words) {
  json script = json::array();
  server_options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto value = [&] {
      return i + 1 < words.size() ? words[++i] : throw std::invalid_argument{words[i] + " needs a value"};
    };
    if (words[i] == "--tls")
      options.tls.emplace();
    else if (words[i] == "--port")
      options.port = std::stoi(value());
    else if (words[i] == "--keep")  // requests remembered whole
      options.kept_requests = std::stoul(value());
    else if (words[i] == "--key")
      options.key = [field = value()](const seen_request& r) {
        const std::string* const v = r.header(field);
        return v != nullptr ? *v : std::string{};
      };
    else if (words[i] != "-") {
      std::ifstream file{words[i]};
      script = json::parse(file);
    }
  }
  const auto run = [](misbehaving_server& server, const char* scheme) {
    say({{"url", server.url("", scheme)},
         {"port", server.port()},
         {"authority", misbehaving_server::authority_file()}});
    for (std::string line; std::getline(std::cin, line);) {
      if (line == "stop")
        server.stop();
      else if (line == "start")
        server.start();
      say(counts_of(server));
    }
    say(counts_of(server));
  };
  const char* const scheme = options.tls ? "https" : "http";
  if (script.is_array()) {
    misbehaving_server server{steps_of(script), options};
    run(server, scheme);
  } else {
    std::map<std::string, std::vector<step>> table;
    for (const auto& [key, list] : script.items()) table[key] = steps_of(list);
    misbehaving_server server{[table](const seen_request& r, int nth) {
                                const auto found = table.contains(r.key) ? table.find(r.key) : table.find("*");
                                if (found == table.end() || found->second.empty()) return respond(200);
                                return found->second[std::min(static_cast<std::size_t>(nth), found->second.size()) - 1];
                              },
                              options};
    run(server, scheme);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return serve({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::cerr << "misbehave: " << e.what() << '\n';
    return 2;
  }
}
