// SPDX-License-Identifier: MIT
/// \file
/// `exchange`: one request and its response on one connection, without the reading of the response. There are
/// two kinds: own_exchange.hpp (read by us, over the wire) and library_exchange.hpp (read by cpp-httplib).
#pragma once

#include <again/http/message.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/detail/cancel_switch.hpp>
#include <again/httplib/detail/diagnose.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/response_parser.hpp>
#include <again/httplib/detail/socket_watch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// What cpp-httplib's callbacks work on during one send. Owns the response until the connection hands it on; refers to the
/// rest. Threads: the worker that makes the attempt.
class exchange {
 public:
  using steady = std::chrono::steady_clock;

  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  http::response response;  ///< as much of it as came
  observed seen;
  bool must_close = false;  ///< the connection cannot be used again

  /// The request as the library takes it, apart from what reads the response. It refers to this exchange.
  httplib::Request request(int number) {
    httplib::Request r;
    r.method = what_.request.method().text();
    r.path = what_.request.target();
    r.headers.emplace("Host", what_.origin.authority());
    for (const auto& [name, value] : what_.request.fields(number)) r.headers.emplace(name, value);
    if (content_ != nullptr) add_content(r);
    return r;
  }

  /// Was anything of the body read?
  bool content_touched() const noexcept { return content_read_ > 0; }
  /// When something last moved in either direction.
  steady::time_point last_progress() const noexcept { return progress_; }
  void moved() noexcept { progress_ = steady::now(); }
  /// Where the status decides and the head is here: there is a response, whatever happens to its body.
  bool decided() const noexcept { return read_until_.has_value(); }
  /// The response, with as much of its body as was asked for.
  http::response take_response(bool whole) {
    if (const auto& drain = what_.request.drain()) {
      response.body_cut = !whole || response.body.size() > drain->keep;
      if (response.body.size() > drain->keep) {
        response.body.resize(static_cast<std::size_t>(drain->keep));
        response.body.shrink_to_fit();
      }
    }
    return std::move(response);
  }

 protected:
  /// `content`: the body; null: none.
  exchange(const outgoing& what, body::reader* content, socket_watch& watch, cancel_switch& stop)
      : what_{what}, content_{content}, watch_{watch}, stop_{stop} {}
  ~exchange() = default;

  std::uint64_t max_body() const noexcept { return what_.max_body(); }
  bool is_head() const noexcept { return what_.request.method() == method::head; }

  /// To be called when the head of the final response has come. Where the status decides, a stop gives the response from now on.
  void head_has_come() noexcept {
    const auto& drain = what_.request.drain();
    if (!drain || read_until_) return;
    read_until_ = steady::now() + std::min<duration>(drain->time, std::chrono::hours{24});
    static_cast<void>(stop_.decide());
  }
  /// Where the status decides: the end of the time for reading the body.
  std::optional<steady::time_point> read_until() const noexcept { return read_until_; }
  /// Takes over what `parser` has made of all bytes there were. `ended_in_order`: the connection's end was seen, and was no reset.
  void take_from(response_parser& parser, bool ended_in_order) {
    using states = response_parser::state;
    const states state = parser.feed({});
    seen.headers_complete = parser.has_head();
    seen.parsed_here = true;
    seen.head_begun = parser.begun();
    seen.until_close = state == states::whole && parser.until_close() && !ended_in_order;
    seen.complete = state == states::whole && !seen.until_close;
    seen.malformed = state == states::malformed ? parser.reason() : nullptr;
    seen.too_large = state == states::too_large;
    must_close = must_close || parser.last();
    response = parser.take();
    must_close = must_close || response.status == 421;
  }

 private:
  void add_content(httplib::Request& r) {
    const auto size = content_->size();
    if (size) {
      if (*size == 0) {  // the library says so itself where it must, and then does not look whether we did
        const auto& m = what_.request.method();
        if (m != method::post && m != method::put && m != method::patch) r.headers.emplace("Content-Length", "0");
        return;
      }
      r.content_length_ = static_cast<std::size_t>(*size);
    } else {
      r.is_chunked_content_provider_ = true;
      r.headers.emplace("Transfer-Encoding", "chunked");
    }
    r.content_provider_ = [this, chunked = !size](std::size_t, std::size_t, httplib::DataSink& sink) {
      return write_content(sink, chunked);
    };
    suppress_expect(r);
  }
  /// Writes the next part of the request's body. False: it cannot be had.
  bool write_content(httplib::DataSink& sink, bool chunked) {
    moved();
    if (const auto all = content_->bytes()) {
      if (content_read_ == 0 && !all->empty()) sink.write(all->data(), all->size());
      content_read_ = all->size();
    } else {
      std::array<char, 16384> buffer;
      const auto n = content_->read(buffer);
      if (!n) {
        seen.body_failure = n.error();
        watch_.shut_down();
        return false;
      }
      content_read_ += *n;
      if (*n > 0) return sink.write(buffer.data(), *n), true;
    }
    if (chunked) sink.done();
    return true;
  }

  const outgoing& what_;
  body::reader* const content_;
  socket_watch& watch_;
  cancel_switch& stop_;
  std::optional<steady::time_point> read_until_;
  std::uint64_t content_read_ = 0;
  steady::time_point progress_{};
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
