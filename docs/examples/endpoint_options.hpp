// SPDX-License-Identifier: MIT
// The flags of `deliver` for what one endpoint may take: its rate, its retry budget, and when it is disabled.
#pragma once

#include "options.hpp"

#include <again/protection/budgets.hpp>
#include <again/protection/rate.hpp>
#include <again/sink/options.hpp>

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace programs {

class endpoint_options {
 public:
  void add_to(options& o) {
    o.with("--endpoint-rate", "N[/s]", "attempts at one URL per second, or per minute: 100/m (no bound)",
           [this](std::string_view v) { per_second_ = rate_of(v); });
    o.with("--endpoint-burst", "N", "attempts at once after a quiet time, with --endpoint-rate (1)",
           [this](std::string_view v) { burst_ = number_in<int>(v, 1, 1'000'000); });
    o.with("--endpoint-budget", "SHARE", "repeated attempts at one URL, as a share of first attempts; none (1)",
           [this](std::string_view v) {
             if (v == "none")
               budget_.reset();
             else
               budget_ = again::budgets::ratio{.share = number_of(v, 0, 1000)};
           });
    o.with("--disable-after", "D", "a URL that fails this long without one success is disabled; never (120h)",
           [this](std::string_view v) {
             disable_after_ = v == "never" ? again::forever : duration_of(v);
             if (disable_after_ <= again::duration::zero()) throw usage_error{"must be above 0; 'never' is a word"};
           });
  }
  /// Throws usage_error where the flags contradict each other.
  void prepare(again::endpoint& e) const {
    e.budget = budget_;
    e.disable_after = disable_after_;
    if (burst_ && !per_second_) throw usage_error{"--endpoint-burst needs --endpoint-rate"};
    if (per_second_) e.rate = again::rates{.per_second = *per_second_, .burst = burst_.value_or(1)};
  }
  /// Of the endpoint with these bounds, as lines for --explain.
  static std::string explained(const again::endpoint& e) {
    std::string text = fmt::format("at most {} attempts at a time", e.in_flight);
    if (e.rate) text += fmt::format(", {:g} per second with a burst of {}", e.rate->per_second, e.rate->burst);
    if (e.budget)
      text += fmt::format("; repeated attempts: {:g} for each first one of the last {:g} s, and {:g} per second",
                          e.budget->share, std::chrono::duration<double>{again::duration{e.budget->window}}.count(),
                          e.budget->floor_per_second);
    text += "\ndisabled by 410";
    if (e.disable_after != again::forever)
      text += fmt::format(", or after {:g} h of failures without one success",
                          std::chrono::duration<double, std::ratio<3600>>{again::duration{e.disable_after}}.count());
    return text + '\n';
  }

 private:
  static double number_of(std::string_view text, double least, double most) {
    double n{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n, std::chars_format::fixed);
    if (problem != std::errc{} || end != text.data() + text.size() || !(n >= least && n <= most))
      throw usage_error{fmt::format("'{}' is not a number from {:g} to {:g}", text, least, most)};
    return n;
  }
  static double rate_of(std::string_view text) {
    const auto slash = text.find('/');
    const std::string_view unit = slash == std::string_view::npos ? "s" : text.substr(slash + 1);
    const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
    if (seconds == 0) throw usage_error{fmt::format("'{}' is not a rate; write it like 50/s, 100/m or 1000/h", text)};
    return number_of(text.substr(0, slash), 0.001 * seconds, 1e6 * seconds) / seconds;
  }

  std::optional<double> per_second_;
  std::optional<int> burst_;
  std::optional<again::budgets::ratio> budget_ = again::endpoint{.url = {}}.budget;
  again::duration disable_after_ = again::endpoint{.url = {}}.disable_after;
};

}  // namespace programs
