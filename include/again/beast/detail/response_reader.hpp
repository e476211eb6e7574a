// SPDX-License-Identifier: MIT
/// \file
/// `response_reader`: an HTTP/1.1 response from bytes as they come, by Beast's parser.
#pragma once

#include <again/beast/detail/library.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// Interim responses are passed over (RFC 9110 15.2), trailers dropped. Bounds: 64 KiB of head, interim responses included, and of
/// each chunk's head and of the trailers; `max_body` of body. `bodyless`: the response to a HEAD. Knows no socket and no thread.
class response_reader {
 public:
  enum class state : unsigned char { more, whole, malformed, too_large };

  explicit response_reader(std::uint64_t max_body, bool bodyless = false) noexcept
      : max_body_{max_body}, bodyless_{bodyless} {}

  state feed(std::string_view bytes) {
    const bool fresh = pending_.empty();
    if (!fresh) pending_.append(bytes);
    std::string_view unread = fresh ? bytes : std::string_view{pending_};
    begun_ = begun_ || !unread.empty();
    // Of a chunk's head that has begun Beast asserts that there are five bytes. No body ends with fewer.
    if (head_ && !fresh && unread.size() < 5) return now_;
    while (now_ == state::more && !unread.empty() && step(unread)) {}
    if (now_ == state::more && unread.size() > most_head) refuse("the response's head or a chunk's is too long");
    if (fresh) {
      pending_.assign(unread);
    } else {
      pending_.erase(0, pending_.size() - unread.size());
    }
    return now_;
  }
  /// The connection has ended.
  state end() noexcept {
    if (now_ == state::more && until_close()) now_ = state::whole;
    return now_;
  }
  bool whole() const noexcept { return now_ == state::whole; }
  /// Status and headers of the final response are known.
  bool has_head() const noexcept { return head_; }
  /// Of the response whose head has come last, interim ones included; 0: none.
  int status() const noexcept { return response_.status; }
  /// Something of the final response has come.
  bool begun() const noexcept { return begun_; }
  /// The body ends with the connection.
  bool until_close() const noexcept { return head_ && parser_ && parser_->need_eof(); }
  /// The connection cannot be used again after this response.
  bool last() const noexcept {
    return !parser_ || !head_ || !parser_->keep_alive() || response_.version == "1.0" || !pending_.empty();
  }
  /// What is wrong, where it is `malformed`; static storage.
  const char* reason() const noexcept { return reason_; }
  /// What there is of it.
  http::response take() noexcept { return std::move(response_); }

 private:
  using string_view = ::boost::beast::string_view;
  using errors = ::boost::beast::http::error;

  /// Beast's parser of one message, which tells the reader.
  class parser final : public ::boost::beast::http::basic_parser<false> {
   public:
    explicit parser(response_reader& owner) noexcept : owner_{owner} {
      eager(true);
      header_limit(static_cast<std::uint32_t>(most_head));
      body_limit(::boost::none);  // the reader's own, which keeps the part that has come
      skip(owner.bodyless_);
    }

   private:
    void on_request_impl(::boost::beast::http::verb /*method*/, string_view /*name*/, string_view /*target*/,
                         int /*version*/, error_code& /*ec*/) override {}
    void on_response_impl(int code, string_view /*reason*/, int version, error_code& /*ec*/) override {
      owner_.response_ = http::response{code};
      owner_.response_.headers.reserve(usual_fields);
      owner_.response_.version = version == 10 ? "1.0" : "1.1";
    }
    void on_field_impl(::boost::beast::http::field /*known*/, string_view name, string_view value,
                       error_code& /*ec*/) override {
      if (!owner_.head_) owner_.response_.headers.append({name.data(), name.size()}, {value.data(), value.size()});
    }
    void on_header_impl(error_code& ec) override { owner_.end_of_head(ec); }
    void on_body_init_impl(const ::boost::optional<std::uint64_t>& /*length*/, error_code& /*ec*/) override {}
    std::size_t on_body_impl(string_view bytes, error_code& ec) override {
      return owner_.content({bytes.data(), bytes.size()}, ec);
    }
    void on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*ec*/) override {}
    std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, string_view bytes, error_code& ec) override {
      return owner_.content({bytes.data(), bytes.size()}, ec);
    }
    void on_finish_impl(error_code& /*ec*/) override {}

    response_reader& owner_;
  };

  void refuse(const char* reason) noexcept {
    reason_ = reason;
    now_ = state::malformed;
  }
  /// Takes what it can off `in`. False: more bytes are needed, or it is over.
  bool step(std::string_view& in) {
    if (!parser_) {
      // Beast waits for the end of the line before it says that this is no HTTP.
      constexpr std::string_view begins = "HTTP/1.";
      if (!in.starts_with(begins.substr(0, in.size()))) return refuse("the response is not HTTP/1.1"), false;
      parser_.emplace(*this);
    }
    error_code ec;
    const bool in_head = !head_;
    const std::size_t n = parser_->put(net::const_buffer(in.data(), in.size()), ec);
    in.remove_prefix(n);
    if (in_head) heads_ += n;
    if (in_head && heads_ > most_head && !head_) return refuse("the response's head is longer than 64 KiB"), false;
    if (now_ != state::more) return false;  // we have said so ourselves
    if (ec && ec != errors::need_more) {
      const bool framing = ec == errors::bad_content_length || ec == errors::multiple_content_length ||
                           ec == errors::bad_transfer_encoding;
      if (in_head && framing && response_.status >= 200) head_ = true;  // what decides is here: the status
      return refuse(words_for(ec)), false;
    }
    if (!parser_->is_done()) return !ec && n > 0;
    if (head_) {
      now_ = state::whole;
      return false;
    }
    parser_.reset();  // it was an interim one
    begun_ = !in.empty();
    return true;
  }
  void end_of_head(error_code& ec) {
    const int status = response_.status;
    if (status < 200) {
      if (status < 100) refuse("the response's status line is malformed");
      if (status == 101) refuse("the response switches protocols, which we did not ask for");
    } else {
      head_ = true;
      for (const auto& [name, value] : response_.headers) {
        // Beast takes any coding for none. RFC 9112 6.1: a transfer coding that we did not ask for.
        if (http::detail::equal_ignoring_case(name, "Transfer-Encoding") &&
            !http::detail::equal_ignoring_case(value, "chunked"))
          refuse("the response's framing headers mean nothing");
      }
      const auto length = parser_->content_length();
      const bool empty = bodyless_ || status == 204 || status == 304;
      if (now_ == state::more && length && !empty) {
        if (*length > max_body_) {
          now_ = state::too_large;
        } else {
          response_.body.reserve(static_cast<std::size_t>(std::min(*length, most_reserved)));
        }
      }
    }
    if (now_ != state::more) ec = errors::bad_value;  // it goes no further
  }
  std::size_t content(std::string_view bytes, error_code& ec) {
    std::uint64_t n = bytes.size();
    if (n > max_body_ - response_.body.size()) {
      n = max_body_ - response_.body.size();
      now_ = state::too_large;
      ec = errors::body_limit;
    }
    response_.body.append(bytes.substr(0, static_cast<std::size_t>(n)));
    return static_cast<std::size_t>(n);
  }
  static const char* words_for(const error_code& ec) noexcept {
    if (ec == errors::bad_chunk || ec == errors::bad_chunk_extension) return "the response's chunks are malformed";
    if (ec == errors::bad_content_length || ec == errors::multiple_content_length ||
        ec == errors::bad_transfer_encoding)
      return "the response's framing headers mean nothing";
    if (ec == errors::bad_version || ec == errors::bad_status || ec == errors::bad_reason)
      return "the response's status line is malformed";
    if (ec == errors::header_limit) return "the response's head is longer than 64 KiB";
    return "a header line of the response is malformed";
  }

  static constexpr std::size_t most_head = 65536;
  static constexpr std::size_t usual_fields = 12;                          // 768 bytes at once, not by doubling
  static constexpr std::uint64_t most_reserved = std::uint64_t{1} << 20U;  // on a server's word alone

  const std::uint64_t max_body_;
  const bool bodyless_;
  bool head_ = false, begun_ = false;
  state now_ = state::more;
  const char* reason_ = "";
  std::optional<parser> parser_;  // of the message that is coming
  std::string pending_;           // what the parser has not taken
  std::size_t heads_ = 0;
  http::response response_;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
