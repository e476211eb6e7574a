// SPDX-License-Identifier: MIT
#include "webhook_options.hpp"

#include "access_token.hpp"
#include "webhook_id.hpp"

#include <again/cloudevents/permission.hpp>
#include <again/webhook/schedule.hpp>
#include <again/webhook/sign.hpp>
#include <again/webhook/signing_keys.hpp>

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace programs {
namespace {

namespace webhook = again::webhook;

/// A name of a file or variable; never the secret itself.
std::string name_of_secret(std::string_view text) {
  for (const std::string_view prefix : {"whsec_", "whsk_"}) {
    if (text.find(prefix) != std::string_view::npos)
      throw usage_error{
          "this is a secret, which others can read here: write it to a file (chmod 600), and name the file"};
  }
  if (text.empty()) throw usage_error{"the name is empty"};
  return std::string{text};
}

again::http::attempt_hook signer_from(const secret_source& source) {
  if (!source.environment) warn_if_public("--sign", source.name);
  auto keys = source.environment ? webhook::signing_keys::from_environment(source.name)
                                 : webhook::signing_keys::from_file(source.name);
  if (!keys)
    throw usage_error{fmt::format("{}: {}", source.environment ? "--sign-env" : "--sign", keys.error().text())};
  return [sign = webhook::signer{*std::move(keys)}](const again::http::attempt_info& at, again::http::headers& fields) {
    fields.set(std::string{webhook::id_field}, webhook_id(at.request.idempotency_key()));
    return sign(at, fields);
  };
}

}  // namespace

void webhook_options::add_to(options& o) {
  o.heading("Webhooks (docs/webhooks.md)");
  o.with("--sign", "FILE",
         "sign as Standard Webhooks has it, with the secrets in FILE: whsec_... or whsk_..., one a line",
         [this](std::string_view v) { sign = secret_source{false, name_of_secret(v)}; });
  o.with("--sign-env", "NAME", "the same with the secrets in an environment variable",
         [this](std::string_view v) { sign = secret_source{true, name_of_secret(v)}; });
  o.with("--schedule", "NAME", "standard-webhooks: ten deliveries within four days; needs --journal",
         [this](std::string_view v) {
           if (v != "standard-webhooks") throw usage_error{fmt::format("'{}' is not standard-webhooks", v)};
           standard_schedule = true;
         });
  o.with("--ce-mode", "MODE", "send CloudEvents structured, binary or batched (one in each batch)",
         [this](std::string_view v) { ce_mode = taken(again::cloudevents::parse_content_mode(v)); });
  o.with("--ce-permission", "ORIGIN", "first ask each endpoint for its permission, as events.example.com",
         [this](std::string_view v) { permission_origin = v; });
  o.with("--ce-permission-rate", "N", "ask for N events a minute; the rate that is allowed is obeyed",
         [this](std::string_view v) { permission_rate = number_in<std::int64_t>(v, 1, 1'000'000'000); });
}

std::optional<permission_request> webhook_options::permission() const {
  if (!permission_origin) {
    if (permission_rate) throw usage_error{"--ce-permission-rate: needs --ce-permission ORIGIN"};
    return std::nullopt;
  }
  if (const auto wrong = validate(again::cloudevents::permission_question{*permission_origin, permission_rate}))
    throw usage_error{fmt::format("--ce-permission: {}", wrong->text())};
  return permission_request{*permission_origin, permission_rate};
}

retry_defaults webhook_options::defaults() const {
  if (!standard_schedule) return {};
  return {
      .attempts = 1, .attempt_timeout = webhook::standard_policy->attempt_timeout, .rules = webhook::standard_rules};
}

void webhook_options::set_schedule(again::durable_options& durable, bool journal, bool redelivers) const {
  if (!standard_schedule) return;
  if (!journal)
    throw usage_error{"--schedule standard-webhooks: its waits are hours and days, which a journal alone survives: add "
                      "--journal FILE"};
  if (redelivers) throw usage_error{"--schedule: has waits of its own; leave --redeliver-... out"};
  durable.schedule = *webhook::standard_policy;
}

void webhook_options::prepare(again::endpoint& e, bool keyed, signers& known) const {
  if (ce_mode && e.headers.contains("Content-Type"))
    throw usage_error{"-H: --ce-mode sets the Content-Type; leave one of the two out"};
  if (!sign) return;
  if (!keyed) throw usage_error{"--no-key: the id of a signed webhook is made of the key; leave one of the two out"};
  for (const std::string_view field : {webhook::id_field, webhook::timestamp_field, webhook::signature_field}) {
    if (e.headers.contains(field)) throw usage_error{fmt::format("-H: --sign sets the field {}; leave it out", field)};
  }
  const auto found = known.find(*sign);
  e.each_attempt = found != known.end() ? found->second : known.emplace(*sign, signer_from(*sign)).first->second;
}

}  // namespace programs
