// SPDX-License-Identifier: MIT
/// \file
/// Line charts as SVG, as plain as can be: axes, ticks, lines with their names at the end. Same data, same file.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lab {

struct line {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct chart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<line> lines;
  double y_most = 0;                                   ///< 0: as the data wants
  std::vector<std::pair<double, double>> shaded = {};  ///< ranges of x
  bool logarithmic = false;                            ///< y
};

inline std::string number(double v) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), v == std::floor(v) ? "%.0f" : "%.1f", v);
  return text.data();
}

/// A round step that makes about five ticks.
inline double tick_step(double span) {
  const double rough = span / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double m : {1.0, 2.0, 5.0, 10.0}) {
    if (rough <= m * power) return m * power;
  }
  return 10 * power;
}

inline std::string svg(const chart& c) {
  constexpr double width = 760;
  constexpr double height = 380;
  constexpr double left = 70;
  constexpr double right = 170;
  constexpr double top = 40;
  constexpr double bottom = 50;
  static constexpr std::array<std::string_view, 9> colours{"#1b6ca8", "#c8553d", "#4a7c3a", "#8c5fa8", "#b8860b",
                                                           "#2a9d8f", "#7a7a7a", "#d1495b", "#22223b"};

  double x_least = 1e300;
  double x_most = -1e300;
  double y_least = c.logarithmic ? 1e300 : 0;
  double y_most = c.y_most;
  for (const line& l : c.lines) {
    for (const auto& [x, y] : l.points) {
      x_least = std::min(x_least, x);
      x_most = std::max(x_most, x);
      if (c.y_most == 0) y_most = std::max(y_most, y);
      if (c.logarithmic) y_least = std::min(y_least, y);
    }
  }
  const auto scale = [&](double y) { return c.logarithmic ? std::log10(y) : y; };
  const auto at_x = [&](double x) { return left + (x - x_least) / (x_most - x_least) * (width - left - right); };
  const auto at_y = [&](double y) {
    const double share = (scale(std::min(y, y_most)) - scale(y_least)) / (scale(y_most) - scale(y_least));
    return height - bottom - share * (height - top - bottom);
  };

  std::string out =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " + number(height) +
      "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  const auto text = [&](double x, double y, std::string_view anchor, const std::string& what,
                        std::string_view more = {}) {
    out += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + std::string{anchor} + "\" " +
           std::string{more} + ">" + what + "</text>\n";
  };
  const auto rule = [&](double x1, double y1, double x2, double y2, std::string_view colour) {
    out += "<path d=\"M" + number(x1) + " " + number(y1) + "L" + number(x2) + " " + number(y2) + "\" stroke=\"" +
           std::string{colour} + "\"/>\n";
  };
  text(left, 22, "start", c.title, "font-size=\"15\" font-weight=\"bold\"");
  for (const auto& [from, to] : c.shaded) {
    out += "<rect x=\"" + number(at_x(from)) + "\" y=\"" + number(top) + "\" width=\"" + number(at_x(to) - at_x(from)) +
           "\" height=\"" + number(height - top - bottom) + "\" fill=\"#f3d9d4\"/>\n";
  }
  std::vector<double> y_ticks;
  if (c.logarithmic) {
    for (double y = std::pow(10, std::ceil(std::log10(y_least))); y <= y_most; y *= 10) y_ticks.push_back(y);
  } else {
    for (double y = 0; y <= y_most * 1.0001; y += tick_step(y_most)) y_ticks.push_back(y);
  }
  for (const double y : y_ticks) {
    rule(left, at_y(y), width - right, at_y(y), "#dddddd");
    text(left - 6, at_y(y) + 4, "end", number(y));
  }
  const double x_step = tick_step(x_most - x_least);
  for (double x = std::ceil(x_least / x_step) * x_step; x <= x_most * 1.0001; x += x_step) {
    rule(at_x(x), height - bottom, at_x(x), height - bottom + 4, "#444444");
    text(at_x(x), height - bottom + 18, "middle", number(x));
  }
  rule(left, height - bottom, width - right, height - bottom, "#444444");
  text((left + width - right) / 2, height - 10, "middle", c.x_label);
  text(16, (top + height - bottom) / 2, "middle", c.y_label,
       "transform=\"rotate(-90 16 " + number((top + height - bottom) / 2) + ")\"");

  // Names beside the ends of the lines, pushed apart where they would overlap.
  std::vector<std::pair<double, std::size_t>> ends;
  for (std::size_t i = 0; i < c.lines.size(); ++i) {
    const line& l = c.lines[i];
    out += "<path fill=\"none\" stroke-width=\"2\" stroke=\"" + std::string{colours[i % colours.size()]} + "\" d=\"";
    for (std::size_t p = 0; p < l.points.size(); ++p) {
      out += (p == 0 ? "M" : "L") + number(at_x(l.points[p].first)) + " " + number(at_y(l.points[p].second));
    }
    out += "\"/>\n";
    ends.emplace_back(at_y(l.points.back().second), i);
  }
  std::sort(ends.begin(), ends.end());
  double next = top;
  for (auto& [y, i] : ends) {
    y = std::max(y, next);
    next = y + 15;
  }
  const double over = next - 15 - (height - bottom);
  for (const auto& [y, i] : ends) {
    text(width - right + 8, (over > 0 ? y - over : y) + 4, "start", c.lines[i].name,
         "fill=\"" + std::string{colours[i % colours.size()]} + "\"");
  }
  return out + "</svg>\n";
}

inline void write(const std::string& path, const std::string& text) {
  std::ofstream file{path, std::ios::binary};
  file << text;
  if (!file.flush()) throw std::runtime_error{"lab: cannot write " + path};
}

}  // namespace lab
