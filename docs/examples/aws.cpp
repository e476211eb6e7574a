// SPDX-License-Identifier: MIT
// The AWS SDKs' standard mode, as far as it is the error's business. Prints the same on every run: pretend time, no jitter.
#include <again/again.hpp>
#include <again/format.hpp>
#include <again/testing.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <string>
#include <string_view>
using namespace std::chrono_literals;

// ── what an AWS service's error says to a retry ──

struct aws_error {
  int status = 0;             // 0: no response came
  std::string code{};         // "ThrottlingException": from the body, or the field x-amzn-errortype
  std::string retry_after{};  // the field x-amz-retry-after
  again::verdict verdict() const;
};

constexpr std::array<std::string_view, 14> throttling_codes{
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
};

// Milliseconds in digits; what is 0 or cannot be read asks for nothing.
again::duration asked_for(std::string_view field) {
  int ms = 0;
  const auto [end, fault] = std::from_chars(field.data(), field.data() + field.size(), ms);
  return fault == std::errc{} && end == field.data() + field.size() && ms > 0 ? ms * 1ms : again::duration{-1};
}

again::verdict aws_error::verdict() const {
  const bool throttled = std::ranges::find(throttling_codes, code) != throttling_codes.end();
  const bool passing = throttled || status == 0 || status == 500 || (status >= 502 && status <= 504) ||
                       code == "RequestTimeout" || code == "RequestTimeoutException";
  again::verdict v{.kind = passing ? again::disposition::transient : again::disposition::permanent,
                   .reach = status == 0 ? again::reach::maybe_sent : again::reach::answered,
                   .code = status};
  v.server_delay = asked_for(retry_after);
  if (throttled && v.server_delay < 0s) v.server_delay = 1s;  // where a throttled call's backoff begins
  return v;
}

constexpr auto standard_mode = again::checked({
    .attempts = 3,
    .backoff = again::exponential(50ms, 20s),
    .jitter = again::jitter::full,
    .server_delay_max = 5s,
    .server_delay_over = again::over_max::cap,
});

// ── what comes of it ──

using response = again::expected<int, aws_error>;

again::duration first_wait(again::run_loop& loop, const aws_error& error) {
  again::policy exact = *standard_mode;
  exact.jitter = again::jitter::none;
  again::budget quota{again::budgets::aws_v2_1};
  again::testing::script<int, aws_error> service{aws_error{}};
  service.fails(error).gives(1);
  auto op = again::retry(exact, std::ref(service)).budget(quota);
  if (!again::sync_wait(loop, op) || service.calls().size() != 2) return again::duration{-1};
  return service.waits().front();
}

int main() {
  again::virtual_clock time;
  again::run_loop loop{time, 42};
  for (const char* const field : {"1500", "0", "10000", "invalid", "-100"}) {
    const again::duration wait = first_wait(loop, aws_error{.status = 500, .retry_after = field});
    fmt::print("500 and x-amz-retry-after: {} - again after {}\n", field, again::to_string(wait));
  }
  long understood = 0;
  for (const std::string_view code : throttling_codes)
    understood += first_wait(loop, aws_error{.status = 400, .code = std::string{code}}) == 1s;
  fmt::print("{} of {} throttling codes - again after 1 s\n", understood, throttling_codes.size());
  for (const int status : {500, 502, 503, 504, 0})
    fmt::print("status {} - again after {}\n", status, again::to_string(first_wait(loop, aws_error{.status = status})));
  const auto denied = aws_error{.status = 403, .code = "AccessDenied"}.verdict();
  fmt::print("403 AccessDenied - {}\n", again::name(denied.kind));
}
