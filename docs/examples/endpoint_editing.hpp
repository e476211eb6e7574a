// SPDX-License-Identifier: MIT
// The endpoints of a journal as `deliver endpoint` sees and changes them, whatever store it is.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace programs {

class endpoint_editing {
 public:
  template <class T> using result = again::expected<T, again::journal::error>;
  endpoint_editing() = default;
  endpoint_editing(const endpoint_editing&) = delete;
  endpoint_editing& operator=(const endpoint_editing&) = delete;
  virtual ~endpoint_editing() = default;

  virtual result<std::vector<again::journal::endpoint_record>> endpoints() const = 0;
  virtual result<void> set(const std::string& name, again::endpoint_state to, again::wall_time now) = 0;
};

/// `Editor`: sqlite::endpoint_editor or nats::endpoint_editor.
template <class Editor> class editing_over final : public endpoint_editing {
 public:
  explicit editing_over(Editor&& e) : editor_{std::move(e)} {}
  static result<std::unique_ptr<endpoint_editing>> of(result<Editor> opened) {
    if (!opened) return again::unexpected<again::journal::error>{opened.error()};
    return std::make_unique<editing_over>(*std::move(opened));
  }
  result<std::vector<again::journal::endpoint_record>> endpoints() const override { return editor_.endpoints(); }
  result<void> set(const std::string& name, again::endpoint_state to, again::wall_time now) override {
    return editor_.set(name, to, now);
  }

 private:
  Editor editor_;
};

using opened_endpoints = endpoint_editing::result<std::unique_ptr<endpoint_editing>>;

}  // namespace programs
