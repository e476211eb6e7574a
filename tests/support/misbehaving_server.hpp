// SPDX-License-Identifier: MIT
#pragma once

#include "certificates.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again_test {

using header_list = std::vector<std::pair<std::string, std::string>>;

/// What the server does to one request, or to one attempt to connect.
enum class action {
  respond,                // a complete response; with no_length it ends with the connection
  close,                  // read the request, FIN without a byte
  reset,                  // read the request, RST
  close_on_accept,        // FIN before reading (and before a TLS handshake)
  refuse,                 // connection: refused, because nothing listens
  blackhole,              // connection: the SYN is dropped
  hang,                   // read the request, be silent, close
  delay,                  // be silent, then `inner`
  drip,                   // headers at once, then one body byte per interval
  slice,                  // `inner`, one byte per segment
  truncated,              // Content-Length says more than comes before the end
  stall_body,             // headers, the body bytes there are, silence, close
  raw,                    // content as it is, then the end
  early_response,         // response after the headers only, half-close, drain, close
  unread,                 // content as it is after the headers only, then neither read nor close
  echo,                   // 200 with the request's body, piece by piece as it comes
  stop_reading,           // read the headers, then never again
  garbage,                // bytes that are no HTTP, then the end
  tls_handshake_stall,    // connection: accept, never speak
  tls_untrusted,          // connection: TLS with a self-signed certificate
  tls_wrong_host,         // connection: TLS with a certificate for another host
  tls_expired,            // connection: TLS with a certificate of the past
  tls_close_after_write,  // read the request, close_notify and FIN without a byte
  plain_http,             // connection: a plain HTTP 400 in response to a TLS hello
};
std::string_view name(action what) noexcept;  ///< as spelled above
std::optional<action> action_named(std::string_view text) noexcept;

enum class ending { close, reset, keep };  ///< of raw, truncated, garbage: FIN, RST, stay
enum class afterwards { keep, close, send_408_close, send_extra_response };  ///< to the connection once it is idle

/// One step of a script: plain data. The functions below fill in what each action needs.
struct step {
  action what = action::respond;
  int status = 200;
  header_list headers{};                        // values "@now+N", "@rfc850+N", "@asctime-N" become dates when sent
  std::string content{};                        // body, or the bytes of raw
  bool no_length = false;                       // neither Content-Length nor chunked: the body ends with the connection
  bool chunked = false;                         // chunked instead of Content-Length
  std::optional<std::size_t> content_length{};  // what Content-Length says, if not the truth
  ending end = ending::close;
  std::optional<afterwards> then{};   // when set it overrules a Connection header
  std::chrono::milliseconds wait{0};  // of hang, delay, stall_body, stop_reading, refuse, blackhole, then; 0: see there
  std::chrono::milliseconds interval{0};  // between the bytes of drip and slice
  std::shared_ptr<const step> inner{};    // of delay and slice

  // a copy with one thing changed, to write steps in one expression
  step body(std::string text) const;
  step header(std::string field, std::string value) const;
  step close_delimited() const;
  step in_chunks() const;
  step length(std::size_t claimed) const;
  step ends(ending e) const;
  step and_then(afterwards a, std::chrono::milliseconds after = {}) const;
  step lasting(std::chrono::milliseconds time) const;
  step every(std::chrono::milliseconds gap) const;
};

step respond(int status, header_list headers = {});  ///< then(...): 30 ms later unless said otherwise
step close();
step reset();
step close_on_accept();
step refuse(std::chrono::milliseconds outage = {});     ///< 0: one connection attempt, see `refusals`
step blackhole(std::chrono::milliseconds outage = {});  ///< 0: one connection attempt, all its SYNs
step hang(std::chrono::milliseconds silence = {});      ///< 0: until the client leaves or the server stops
step delay(std::chrono::milliseconds silence, step inner);
step drip(std::string body, std::chrono::milliseconds interval = std::chrono::milliseconds{10});
step slice(step inner, std::chrono::milliseconds interval = {});
step truncated(std::string body, std::size_t content_length, ending end = ending::close);
step stall_body(std::string body, std::size_t content_length, std::chrono::milliseconds silence = {});
step raw(std::string bytes, ending end = ending::close);
step early_response(int status);
step unread(std::string bytes);
step echo();
step stop_reading(std::chrono::milliseconds silence = {});
step garbage(ending end = ending::close);
step tls_handshake_stall(std::chrono::milliseconds silence = {});
step tls_untrusted();
step tls_wrong_host();
step tls_expired();
step tls_close_after_write();
step plain_http();

/// A request as it came in.
struct seen_request {
  std::size_t arrival = 0;     // counted from 0 over all connections, when the headers are complete
  std::size_t connection = 0;  // counted from 0
  std::string method, target, version;
  header_list headers;         // in order, names as sent
  std::string body;            // decoded; the first server_options::kept_body bytes
  std::size_t body_bytes = 0;  // all of them
  bool body_complete = false;
  std::string key;
  std::string server_name;  // of the TLS handshake; empty: none
  bool resumed = false;     // the TLS session of an earlier connection goes on
  std::chrono::steady_clock::time_point at;

  const std::string* header(std::string_view field) const noexcept;  ///< first of that name in any case, or null
};

enum class tls_version { any, v1_1, v1_2, v1_3 };

struct tls_options {
  again_test::certificate certificate = again_test::certificate::trusted;
  std::optional<key_pair> own{};  // shown instead of `certificate`
  tls_version min = tls_version::any, max = tls_version::any;
  bool demand_client_certificate = false;
  bool close_notify = true;  // before every orderly close; false: FIN alone
};

enum class family { ipv4, ipv6, unix_domain };

/// How a `refuse` step learns that its attempt has come, since nothing listens. counted: by the SYN on a raw socket where the
/// process may open one, else by the kernel's count of failed connects (any in this network namespace). told: by
/// `refusal_seen()`, which is exact, also when the client tries again at once.
enum class refusals { counted, told };

struct server_options {
  again_test::family family = again_test::family::ipv4;
  int port = 0;             // 0: any free one
  std::string unix_path{};  // for unix_domain
  std::optional<tls_options> tls{};
  std::optional<step> otherwise{};  // after the script; unset: 500 that says so, counted as overrun
  std::function<std::string(const seen_request&)> key{};  // unset: the target
  bool decide_before_body =
      false;  // a table is asked as soon as the headers are there (for early_response, unread, echo, stop_reading)
  bool respond_to_expect_continue = true;
  again_test::refusals refusals = again_test::refusals::counted;
  std::size_t kept_body = 65'536;      // bytes of each request body
  std::size_t kept_requests = 10'000;  // recorded whole; all are counted
  std::size_t max_connections = 256;   // at a time; further ones wait in the backlog
};

/// Counts at one moment.
struct tally {
  std::size_t requests = 0, connections = 0, open_connections = 0, overruns = 0, steps_left = 0;
  std::size_t refused = 0, blackholed = 0, failed_handshakes = 0;
  std::size_t idle_actions = 0;  // `afterwards` carried out
  std::size_t continues = 0;     // 100 Continue sent
};

/// An HTTP/1.1 server on loopback that does to the i-th request what the i-th step says, for tests and demos.
///
/// Steps marked "connection" apply to the next connection attempt instead; requests on connections that are already open
/// pass over them. Requests are counted over all connections, in the order in which their headers arrive.
/// Keep-alive, Content-Length and chunked request bodies, Expect: 100-continue. One thread per connection, each of which
/// waits only where stop() wakes it. While the server is silent, a client that ends its side counts as gone. A blackhole
/// takes a packet filter (CAP_NET_ADMIN on newer kernels); without it a full backlog drops the SYNs, and a client that
/// goes on trying for more than a second is let in and reset. All members may be called from any thread, except that a table or key function must not
/// stop() the server. Linux only. Errors: std::invalid_argument names the step, std::system_error the call.
class misbehaving_server {
 public:
  /// Decides by request; `nth` counts the requests of the same key, from 1.
  using table = std::function<step(const seen_request&, int nth)>;

  explicit misbehaving_server(std::vector<step> script, server_options options = {});
  template <std::invocable<const seen_request&, int> Decide>
  explicit misbehaving_server(Decide decide, server_options options = {})
      : misbehaving_server(asked{}, table(std::move(decide)), std::move(options)) {}
  ~misbehaving_server();  ///< stop(), at once
  misbehaving_server(const misbehaving_server&) = delete;
  misbehaving_server& operator=(const misbehaving_server&) = delete;

  int port() const noexcept;
  std::string host() const;  ///< "127.0.0.1" or "[::1]"; "localhost" for unix_domain
  std::string url(std::string_view path = "/",
                  std::string_view scheme = {}) const;  ///< scheme: http or https as configured
  static std::string authority_file();                  ///< PEM to trust for https

  tally counts() const;
  std::size_t requests_seen() const;
  std::size_t requests_seen(std::string_view key) const;
  std::map<std::string, std::size_t> requests_by_key() const;
  std::size_t connections_seen() const;
  std::size_t open_connections() const;
  std::size_t overruns() const;
  std::vector<seen_request> requests() const;       ///< a copy
  seen_request request(std::size_t arrival) const;  ///< throws std::out_of_range with the number seen
  std::vector<std::string> complaints() const;      ///< what clients did against HTTP, and the server's own trouble

  /// Waits until the counts satisfy the predicate; false if they did not in time.
  bool wait_until(const std::function<bool(const tally&)>& holds,
                  std::chrono::milliseconds at_most = std::chrono::seconds{5}) const;
  bool wait_until_no_connection(std::chrono::milliseconds at_most = std::chrono::seconds{5}) const;

  void add(step next);  ///< to the end of the script
  void refusal_seen();  ///< the client met the refuse step that is next; on return the one after it is in force
  void hang_up();       ///< FIN on every open connection
  void stop();          ///< like a killed process: port closed, connections closed; script and counts stay
  void start();         ///< again, on the same port

 private:
  class engine;
  struct asked {};
  misbehaving_server(asked, table decide, server_options options);

  std::unique_ptr<engine> engine_;
};

}  // namespace again_test
