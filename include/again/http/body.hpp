// SPDX-License-Identifier: MIT
/// \file
/// `body`: the content of a request, and whether another attempt can read it: bytes, a file, a factory that is called once per
/// attempt, or a body for one attempt. Every attempt sends the body from its beginning; a one-shot body is sent once.
///
/// ```cpp
/// http::request::put("/a").body("text");                                   // the same bytes for every attempt
/// http::request::put("/a").body(http::body::file("/var/log/a"));           // opened and read again for each attempt
/// http::request::put("/a").body(http::body::one_shot(std::move(source)));  // one attempt; a failure after it is not_replayable
/// ```
///
/// Errors: a body that cannot be opened or read ends the attempt as `error_kind::invalid_request` with the reason.
#pragma once

#include <again/core/detail/posix.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sys/stat.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// One pass over a body that is not in memory. Derive from it for `body::factory` and `body::one_shot`.
/// Thread: it is made and read on the thread that sends, a worker of the transport, by one attempt at a time.
class chunk_source {
 public:
  chunk_source() = default;
  chunk_source(const chunk_source&) = delete;
  chunk_source& operator=(const chunk_source&) = delete;
  virtual ~chunk_source() = default;

  /// Fills the front of `into` and returns how many bytes it wrote; 0 is the end. An error ends the attempt with its sentence.
  virtual expected<std::size_t, std::string> read(std::span<char> into) = 0;
  /// The number of bytes. A known size is sent as Content-Length and must be true; `nullopt` sends the body in chunks.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
};

/// A request's body. A copy shares the bytes or the maker: it allocates nothing, and of all copies of a one-shot body one attempt
/// can read it.
class body {
 public:
  class reader;

  body() = default;         ///< no body
  body(std::string bytes);  ///< these bytes, for every attempt
  body(std::string_view bytes) : body{std::string{bytes}} {}
  body(const char* bytes) : body{std::string{bytes}} {}

  /// `make()` is called once per attempt and returns the bytes (`std::string`) or a `std::unique_ptr<chunk_source>`. An
  /// exception of it ends the attempt as `invalid_request` with its `what()`.
  /// With g++ 12, give a lambda with captures by value a name before the `co_await` expression that uses it: the compiler
  /// destroys a lambda that is written inside the expression twice.
  template <class F>
    requires(std::convertible_to<std::invoke_result_t<F&>, std::string> ||
             std::convertible_to<std::invoke_result_t<F&>, std::unique_ptr<chunk_source>>)
  static body factory(F make);
  /// The file of that path, opened and read again for each attempt. Its size is that of the moment at which it is opened.
  static body file(std::string path);
  /// A body for one attempt. After it the request is not replayable.
  static body one_shot(std::string bytes);
  static body one_shot(std::unique_ptr<chunk_source> source);

  /// The bytes, where they are in memory and the same for every attempt; nothing where there is no body. Lifetime: that of the body and
  /// its copies.
  std::optional<std::string_view> bytes() const noexcept {
    return bytes_ ? std::optional<std::string_view>{*bytes_} : std::nullopt;
  }
  /// No body at all (an empty string is a body of length 0).
  bool absent() const noexcept { return !bytes_ && !maker_; }
  /// Whether its bytes are here, so that opening and reading it never blocks.
  bool in_memory() const noexcept { return bytes_ != nullptr; }
  /// Whether one more attempt can read it from the beginning. False once a one-shot body has been opened.
  bool replayable() const noexcept { return !maker_ || maker_->replayable(); }
  /// Whether it was made by `one_shot`, opened or not.
  bool one_shot() const noexcept { return maker_ && maker_->single(); }
  /// Starts a pass for one attempt. Error: the reason why it cannot be read (again). Open it as late as possible: an attempt
  /// that fails to connect then leaves a one-shot body for the next attempt.
  expected<reader, invalid> open() const;

 private:
  struct maker {
    maker() = default;
    maker(const maker&) = delete;
    maker& operator=(const maker&) = delete;
    virtual ~maker() = default;
    virtual bool replayable() const noexcept { return true; }
    virtual bool single() const noexcept { return false; }
    virtual expected<reader, invalid> open() = 0;
  };
  template <class F> struct from_function;
  struct from_file;
  struct once;

  std::shared_ptr<const std::string> bytes_;
  std::shared_ptr<maker> maker_;
};

/// One pass over a body, for one attempt. Owns what it reads.
class body::reader {
 public:
  explicit reader(std::shared_ptr<const std::string> bytes) : bytes_{std::move(bytes)} {}
  explicit reader(std::unique_ptr<chunk_source> source) : source_{std::move(source)} {}

  /// The number of bytes in all, where it is known.
  std::optional<std::uint64_t> size() const {
    if (source_) return size_known_ ? size_ : source_->size();
    return bytes_ ? bytes_->size() : 0;
  }
  /// The whole body, where it is in memory. Lifetime: that of the reader.
  std::optional<std::string_view> bytes() const noexcept {
    if (source_) return std::nullopt;
    return bytes_ ? std::string_view{*bytes_} : std::string_view{};
  }
  /// The next bytes; 0 is the end. It never returns more than `size()` bytes, and fewer are an error, so that the announced
  /// length is met or the attempt fails. An exception of a source becomes an error.
  expected<std::size_t, std::string> read(std::span<char> into) noexcept;

 private:
  std::shared_ptr<const std::string> bytes_;
  friend class body;
  /// Asks the source for its size once, where an exception of it can still be returned as an error.
  void settle_size() {
    if (source_) size_ = source_->size();
    size_known_ = true;
  }

  std::unique_ptr<chunk_source> source_;
  std::optional<std::uint64_t> size_;
  bool size_known_ = false;
  std::uint64_t done_ = 0;
};

// ── definitions ──

inline body::body(std::string bytes) : bytes_{std::make_shared<const std::string>(std::move(bytes))} {}

inline expected<std::size_t, std::string> body::reader::read(std::span<char> into) noexcept try {
  const auto all = size();
  const std::uint64_t room = std::min<std::uint64_t>(into.size(), all ? *all - done_ : into.size());
  if (room == 0) return std::size_t{0};
  const auto part = into.first(static_cast<std::size_t>(room));
  std::size_t got = part.size();
  if (source_) {
    auto n = source_->read(part);
    if (!n) return n;
    got = std::min(*n, part.size());
    if (got == 0 && all) return unexpected<std::string>{"the body ended before its announced size"};
  } else {
    std::copy_n(bytes_->data() + done_, got, part.data());
  }
  done_ += got;
  return got;
} catch (const std::exception& e) { return unexpected<std::string>{e.what()}; } catch (...) {
  return unexpected<std::string>{"the body's source threw something that is no std::exception"};
}

inline expected<body::reader, invalid> body::open() const {
  if (!maker_) return reader{bytes_};
  try {
    auto opened = maker_->open();
    if (opened) opened->settle_size();
    return opened;
  } catch (const std::exception& e) {
    return unexpected<invalid>{invalid{std::string{"the body could not be made: "} + e.what()}};
  } catch (...) { return unexpected<invalid>{invalid{"the body could not be made"}}; }
}

template <class F> struct body::from_function final : body::maker {
  explicit from_function(F f) : make{std::move(f)} {}
  expected<reader, invalid> open() override {
    if constexpr (std::convertible_to<std::invoke_result_t<F&>, std::unique_ptr<chunk_source>>) {
      std::unique_ptr<chunk_source> source = make();
      if (!source) return unexpected<invalid>{invalid{"the body could not be made: its factory returned no source"}};
      return reader{std::move(source)};
    } else {
      return reader{std::make_shared<const std::string>(make())};
    }
  }
  F make;
};

struct body::from_file final : body::maker {
  struct source final : chunk_source {
    struct closer {
      void operator()(std::FILE* f) const noexcept { static_cast<void>(std::fclose(f)); }
    };
    expected<std::size_t, std::string> read(std::span<char> into) override {
      const std::size_t n = std::fread(into.data(), 1, into.size(), file.get());
      if (n == 0 && std::ferror(file.get()) != 0) return unexpected<std::string>{"the body's file could not be read"};
      return n;
    }
    std::optional<std::uint64_t> size() const override { return bytes; }
    std::unique_ptr<std::FILE, closer> file;
    std::uint64_t bytes = 0;
  };

  explicit from_file(std::string p) : path{std::move(p)} {}
  expected<reader, invalid> open() override {
    auto opened = std::make_unique<source>();
    opened->file.reset(std::fopen(path.c_str(), "rb"));
    long end = -1;
    if (opened->file)
      static_cast<void>(std::setvbuf(opened->file.get(), nullptr, _IONBF, 0));  // the reader's buffer is enough
    if (opened->file && std::fseek(opened->file.get(), 0, SEEK_END) == 0) end = std::ftell(opened->file.get());
    struct ::stat about{};
    if (opened->file && ::fstat(::fileno(opened->file.get()), &about) == 0 && !S_ISREG(about.st_mode)) {
      return unexpected<invalid>{invalid{"the body's file '" + path + "' is not a file that can be read again"}};
    }
    if (end < 0 || std::fseek(opened->file.get(), 0, SEEK_SET) != 0) {
      return unexpected<invalid>{invalid{"the body's file '" + path + "' could not be opened"}};
    }
    opened->bytes = static_cast<std::uint64_t>(end);
    return reader{std::unique_ptr<chunk_source>{std::move(opened)}};
  }
  std::string path;
};

struct body::once final : body::maker {
  explicit once(reader r) : held{std::move(r)} {}
  bool single() const noexcept override { return true; }
  bool replayable() const noexcept override { return !spent.load(std::memory_order_acquire); }
  expected<reader, invalid> open() override {
    if (spent.exchange(true, std::memory_order_acq_rel)) {
      return unexpected<invalid>{invalid{"the body can be sent once, and an earlier attempt has sent it"}};
    }
    return std::move(held);
  }
  reader held;
  std::atomic<bool> spent{false};
};

template <class F>
  requires(std::convertible_to<std::invoke_result_t<F&>, std::string> ||
           std::convertible_to<std::invoke_result_t<F&>, std::unique_ptr<chunk_source>>)
body body::factory(F make) {
  body b;
  b.maker_ = std::make_shared<from_function<F>>(std::move(make));
  return b;
}
inline body body::file(std::string path) {
  body b;
  b.maker_ = std::make_shared<from_file>(std::move(path));
  return b;
}
inline body body::one_shot(std::string bytes) {
  body b;
  b.maker_ = std::make_shared<once>(reader{std::make_shared<const std::string>(std::move(bytes))});
  return b;
}
inline body body::one_shot(std::unique_ptr<chunk_source> source) {
  body b;
  b.maker_ = std::make_shared<once>(reader{std::move(source)});
  return b;
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
