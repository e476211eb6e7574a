// SPDX-License-Identifier: MIT
#include "event_filters.hpp"

#include "cloud_event.hpp"
#include "options.hpp"

#include <again/core/clock.hpp>

#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace programs {
namespace {

using again::cloudevents::filter;

filter value_filter(const std::string& attribute, simdjson::dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return filter::exact(attribute, std::string{text});
  std::vector<filter> several;
  if (simdjson::dom::array list; value.get(list) == simdjson::SUCCESS) {
    for (const simdjson::dom::element one : list) several.push_back(value_filter(attribute, one));
    if (several.empty()) throw usage_error{fmt::format("the list for '{}' is empty", attribute)};
    return filter::any(std::move(several));
  }
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS)
    throw usage_error{fmt::format("'{}' is compared with a text, a list of them, or an object with exact, prefix, "
                                  "suffix or not",
                                  attribute)};
  for (const auto& [dialect, operand] : object) {
    const bool is_text = operand.get(text) == simdjson::SUCCESS;
    if (dialect == "not")
      several.push_back(!value_filter(attribute, operand));
    else if (!is_text || (dialect != "exact" && dialect != "prefix" && dialect != "suffix"))
      throw usage_error{fmt::format("'{}': write exact, prefix or suffix with a text, or not", dialect)};
    else
      several.push_back(dialect == "exact"    ? filter::exact(attribute, std::string{text})
                        : dialect == "prefix" ? filter::prefix(attribute, std::string{text})
                                              : filter::suffix(attribute, std::string{text}));
  }
  if (several.empty()) throw usage_error{fmt::format("the object for '{}' is empty", attribute)};
  return filter::all(std::move(several));
}

}  // namespace

filter parse_filter(simdjson::dom::element json) {
  simdjson::dom::object object;
  if (json.get(object) != simdjson::SUCCESS)
    throw usage_error{R"('filter' is an object, such as {"type": "com.example.order", "source": {"prefix": "/eu/"}})"};
  std::vector<filter> all;
  try {
    for (const auto& [attribute, value] : object) all.push_back(value_filter(std::string{attribute}, value));
  } catch (const std::invalid_argument& problem) {
    const std::string_view text = problem.what();
    throw usage_error{fmt::format("'filter': {}", text.substr(text.rfind(": ") + 2))};
  } catch (const usage_error& problem) { throw usage_error{fmt::format("'filter': {}", problem.what())}; }
  if (all.empty()) throw usage_error{"'filter' is empty: name an attribute, or leave it out"};
  return filter::all(std::move(all));
}

std::vector<std::size_t> event_filters::endpoints_for(const again::event& e) const {
  const event_attributes attributes{e};
  const auto find = [&attributes](std::string_view name) { return attributes.find(name); };
  std::vector<std::size_t> wanted_by;
  for (std::size_t i = 0; i < of_.size(); ++i)
    if (!of_[i] || of_[i]->matches(find)) wanted_by.push_back(i);
  return wanted_by;
}

again::delivery not_wanted(again::event e, again::dead_letter_file* letters) {
  again::delivery d{std::move(e)};
  d.not_begun = again::stop_reason::permanent;
  if (letters == nullptr) return d;
  const bool written = letters->write(d, again::system_clocks().wall_now());
  d.dead_letter = written ? again::dead_letter::written : again::dead_letter::lost;
  return d;
}
bool is_unwanted(const again::delivery& d) noexcept {
  return d.outcomes.empty() && d.not_begun == again::stop_reason::permanent;
}

}  // namespace programs
