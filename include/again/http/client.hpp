// SPDX-License-Identifier: MIT
/// \file
/// `client_over<T>`: requests to one origin over the transport `T`, as operations that `retry` can start again.
/// `http::client` (httplib/client.hpp) is a `client_over` cpp-httplib.
///
/// ```cpp
/// again::http::client_over api{transport, origin};
/// auto once  = co_await api.get("/quote/ACME");                                    // expected<response, error>
/// auto tried = co_await again::retry(polite, api.get("/quote/ACME"));              // expected<response, failure<error>>
/// auto order = co_await again::retry(polite, api.send(http::request::post("/orders").body(json).idempotency_key_auto()));
/// ```
///
/// - Errors: a status outside 2xx and 3xx, or one that the rules call worth another attempt, is an `error` that holds the whole
///   response, unless the request accepts it. A request that is not valid fails as `invalid_request` when it is awaited; nothing is
///   sent.
/// - An operation is a description. `send` makes it, and it can be copied and started any number of times. Its Idempotency-Key is
///   made once, in `send`, and its copies share it: to the server they are one operation. Two orders are two calls of `send`.
/// - Redirects are followed only on request. Each is one more request, and the result counts it.
/// - Cancellation: a stop request ends an attempt at once, in every phase, sockets included. One send alone is stopped, or
///   bounded, by `api.get("/x").stop(token)` and `.within(1s)`.
/// - Lifetime: operations refer to the transport, never to the client. The transport outlives the start of every attempt, and where
///   redirects are followed, the whole attempt.
/// - Threads: every member may be called from any thread; one operation object is started from one thread at a time.
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/http/detail/client_send.hpp>
#include <again/http/message.hpp>
#include <again/http/rules.hpp>
#include <again/http/transport.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

struct client_options {
  /// The bounds of each attempt.
  http::send_limits limits{};
  /// What is worth another attempt, and safe. The default is RFC 9110's safe reading.
  http::rules rules{};
  /// Sent with every request that does not have a field of that name itself.
  http::headers headers{};
  /// How many redirects are followed at most, unless a request has its own bound (redirect.hpp); one more is the error `redirects`.
  /// 0: a redirect is the response, so that nothing is sent to an address that you did not name.
  int max_redirects = 0;
};

/// A send that can be started again.
template <transport T>
class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] send_operation
    : public again::detail::not_awaited<send_operation<T>, typename detail::client_send<T>::result_type>,
      public again::detail::has_bounds<send_operation<T>> {
 public:
  send_operation(T& through, std::shared_ptr<const detail::planned> what) noexcept
      : through_{&through}, what_{std::move(what)} {}

  /// One attempt.
  detail::client_send<T> operator()() { return detail::client_send<T>{*through_, what_, ++attempts_}; }
  auto operator co_await() {
    return again::detail::holding_awaiter<detail::client_send<T>>{std::in_place, *through_, what_, ++attempts_};
  }

  /// Whether a second send is safe while the first one still runs, as `hedge` asks: an idempotent method or an Idempotency-Key, and
  /// a body that two attempts can read.
  bool repeatable() const noexcept {
    const request_facts facts = what_->request.facts();
    return facts.repeatable() && facts.replayable && !what_->request.body().one_shot();
  }

  /// What is sent, its Idempotency-Key included.
  const http::request& request() const noexcept { return what_->request; }
  const http::origin& origin() const noexcept { return what_->origin; }

 private:
  T* through_;
  std::shared_ptr<const detail::planned> what_;
  int attempts_ = 0;
};

/// A client over a transport that it refers to: for tests, and for several origins that share workers.
template <transport T> class client_over {
 public:
  client_over(T& through, http::origin o, client_options options = {})
      : through_{&through}, origin_{std::move(o)}, options_{std::move(options)} {}

  send_operation<T> send(http::request r) const;

  send_operation<T> get(std::string target) const { return send(http::request::get(std::move(target))); }
  send_operation<T> head(std::string target) const { return send(http::request::head(std::move(target))); }
  send_operation<T> delete_(std::string target) const { return send(http::request::delete_(std::move(target))); }
  send_operation<T> options(std::string target) const { return send(http::request::options(std::move(target))); }
  send_operation<T> post(std::string target, http::body b) const {
    return send(http::request::post(std::move(target)).body(std::move(b)));
  }
  send_operation<T> put(std::string target, http::body b) const {
    return send(http::request::put(std::move(target)).body(std::move(b)));
  }
  send_operation<T> patch(std::string target, http::body b) const {
    return send(http::request::patch(std::move(target)).body(std::move(b)));
  }

  const http::origin& origin() const noexcept { return origin_; }
  const client_options& settings() const noexcept { return options_; }

 private:
  T* through_;
  http::origin origin_;
  client_options options_;
};

// ── definitions ──

template <transport T> send_operation<T> client_over<T>::send(http::request r) const {
  if (!options_.headers.empty()) {
    const http::headers own = r.headers();
    for (const auto& [name, value] : options_.headers) {
      if (!own.contains(name)) r.headers().add(name, value);
    }
  }
  if (!r.headers().contains("User-Agent")) r.headers().add("User-Agent", "again");
  auto bad = validate(r);
  if (!bad) r.settle_idempotency_key();
  return {*through_, std::make_shared<const detail::planned>(origin_, std::move(r), options_.limits, options_.rules,
                                                             options_.max_redirects, std::move(bad))};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
