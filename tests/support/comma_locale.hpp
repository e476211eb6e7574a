// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <clocale>
#include <locale>
#include <string>

namespace again_test {

/// While it lives the program writes numbers as in Germany, 1.234,5: in streams always, in printf where such a locale is installed.
class comma_locale {
 public:
  comma_locale() : streams_{std::locale::global(commas())} {
    for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "es_ES.UTF-8", "pt_BR.UTF-8"})
      if (!of_c_) of_c_ = std::setlocale(LC_ALL, name) != nullptr;
  }
  comma_locale(const comma_locale&) = delete;
  comma_locale& operator=(const comma_locale&) = delete;
  ~comma_locale() {
    std::setlocale(LC_ALL, before_.c_str());
    std::locale::global(streams_);
  }

  /// Whether printf and strtod use it too.
  bool of_c() const noexcept { return of_c_; }

 private:
  struct punctuation : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };

  static std::locale commas() {
#if defined(__cpp_rtti)
    return std::locale{std::locale::classic(), new punctuation};
#else  // the standard library looks for a facet with dynamic_cast
    return std::locale::classic();
#endif
  }

  std::string before_ = std::setlocale(LC_ALL, nullptr);
  std::locale streams_;
  bool of_c_ = false;
};

}  // namespace again_test
