// SPDX-License-Identifier: MIT
// An event: a line of JSON with its id and key.
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace programs {

/// What is sent, and the id under which it is reported.
struct event {
  std::string id;
  std::string key;        ///< its Idempotency-Key: equal on every attempt and at every endpoint
  std::string order_key;  ///< `partitionkey` of a CloudEvent with the partitioning extension
  std::string content_type;
  std::string body;  ///< the JSON object alone: nothing that stood before or after it
};

/// Where a line was read. Two lines with equal content are two events: this tells them apart.
struct line_position {
  std::string_view source;           ///< a file, or one run of a program that reads a pipe
  std::uint64_t place = 0;           ///< of the line in it: its offset in a file, its number in a pipe
  std::size_t number = 0;            ///< of the line, from 1
  std::string_view label = "line-";  ///< an event without an id is called so, and by the number
};

/// A key of 128 bits, computed from the parts and their lengths with SHA-256. Equal parts make equal keys in every run.
std::string key_of(std::initializer_list<std::string_view> parts);

/// `text` without a byte order mark at its beginning and without JSON's white space at either end.
std::string_view without_margin(std::string_view text) noexcept;

/// Reads events of lines of up to `longest` bytes; its memory is taken at the start, for 1 MiB at most. One thread at a time.
class event_parser {
 public:
  explicit event_parser(std::size_t longest);
  event_parser(const event_parser&) = delete;
  event_parser& operator=(const event_parser&) = delete;
  ~event_parser();

  /// Parses a line, or says what is wrong with it. What the parser read decides all three: what the event means, its key, and the bytes
  /// that are sent. A CloudEvent (https://cloudevents.io, version 1.0) needs the members that its specification requires, as strings.
  /// Any other JSON object is an event too; its id is its member `id`, a string or the text of a number, or else its line number.
  /// Refused: anything beside the object, a member named twice that decides the identity, and more than 1000 levels of nesting.
  again::expected<event, std::string> parse(std::string&& line, const line_position& at);

 private:
  struct parser;
  std::unique_ptr<parser> parser_;
};

}  // namespace programs
