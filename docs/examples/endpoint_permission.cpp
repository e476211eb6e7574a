// SPDX-License-Identifier: MIT
#include "endpoint_permission.hpp"

#include <again/cloudevents/permission.hpp>
#include <again/coro/when_all.hpp>
#include <again/http/client.hpp>
#include <again/retry/retry.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace programs {
namespace {

namespace ce = again::cloudevents;

/// Nothing: it consents; else why not.
again::task<std::optional<std::string>> ask(any_transport& through, again::endpoint& e, permission_request wish) {
  const ce::permission_question question{wish.origin, wish.per_minute};
  const again::http::client_over<any_transport> api{
      through,
      e.url.origin,
      {.limits = e.limits, .rules = e.rules, .headers = e.headers, .max_redirects = e.max_redirects}};
  const auto once = [&] { return ce::ask_permission(api, e.url.target, question); };
  const auto got = co_await again::retry(e.policy, once);
  if (!got) {
    const again::http::error* const last = got.error().error();
    co_return fmt::format("cannot be asked: {}",
                          last != nullptr ? last->text() : std::string{name(got.error().reason())});
  }
  if (!got->granted)
    co_return fmt::format("does not consent to events from {}: its response has no WebHook-Allowed-Origin for it",
                          wish.origin);
  for (const auto& [field, value] : ce::delivery_fields(question)) e.headers.set(field, value);
  if (got->per_minute) {
    const double allowed = static_cast<double>(*got->per_minute) / 60;
    if (!e.rate || e.rate->per_second > allowed) e.rate = again::rates{.per_second = allowed};
  }
  co_return std::nullopt;
}

}  // namespace

again::task<> ask_permissions(any_transport& through, deliver_settings& s, message_log& log) {
  std::vector<std::size_t> asked;
  std::vector<again::task<std::optional<std::string>>> each;
  for (std::size_t i = 0; i < s.endpoints.size(); ++i) {
    if (!s.permissions[i]) continue;
    asked.push_back(i);
    each.push_back(ask(through, s.endpoints[i], *s.permissions[i]));
  }
  if (each.empty()) co_return;
  const auto refusals = co_await again::when_all(std::move(each));
  for (std::size_t i = asked.size(); i-- > 0;) {
    if (!refusals[i]) continue;
    const std::size_t at = asked[i];
    const std::string why = fmt::format("--ce-permission: {} {}", shown_name(s.endpoints[at]), *refusals[i]);
    if (s.routing == again::routing::broadcast || s.endpoints.size() == 1) throw std::runtime_error{why};
    log.account("deliver: {}; it gets no events", why);
    s.endpoints.erase(s.endpoints.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

}  // namespace programs
