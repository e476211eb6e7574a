// SPDX-License-Identifier: MIT
#include "listen_server.hpp"

#include "options.hpp"

#if defined(PROGRAMS_HAVE_BEAST)
#include "access_token.hpp"
#include "http_wire.hpp"
#include "journal_id.hpp"
#include "json_writer.hpp"
#include "posted_events.hpp"

#include <again/http/date.hpp>
#include <again/http/status.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <strings.h>
#include <unistd.h>
#endif

namespace programs {

#if !defined(PROGRAMS_HAVE_BEAST)

void require_listener() {
  throw usage_error{
      "this program was built without Boost.Beast: install it (Debian: libboost1.81-dev), and build anew"};
}
std::unique_ptr<batch_source> open_listener(const deliver_settings&, message_log&) {
  require_listener();
  return nullptr;
}

#else

void require_listener() {}

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::awaitable;
using asio::ip::tcp;
using std::chrono::seconds;

constexpr std::size_t longest_head = std::size_t{16} << 10U;
constexpr seconds retry_after{5};
constexpr std::size_t most_turned_away = 64;  // connections that are told that there are too many, at a time

struct reply {
  int status = 200;
  std::string body{};
  std::vector<std::pair<std::string_view, std::string>> fields{};
};

reply refusal(int status, std::string_view why) {
  reply r{status};
  json_object{r.body}.text("error", why).end();
  r.body += '\n';
  if (status == 503) r.fields.emplace_back("Retry-After", std::to_string(retry_after.count()));
  return r;
}

std::string text_of(const reply& r, bool without_body, bool close) {
  const auto now = std::chrono::time_point_cast<seconds>(std::chrono::system_clock::now());
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
                  "Cache-Control: no-store\r\n",
                  r.status, again::http::reason_phrase(r.status), again::http::format_http_date(now), r.body.size());
  for (const auto& [name, value] : r.fields) out += fmt::format("{}: {}\r\n", name, value);
  if (close) out += "Connection: close\r\n";
  out += "\r\n";
  return without_body ? out : out + r.body;
}

/// A batch that was handed over, and how it ended. Shared by the connection and the batch.
struct handed_batch {
  explicit handed_batch(asio::io_context& io) : wake{io} {}
  asio::steady_timer wake;  // the server's thread
  batch_end how = batch_end::failed;
  again::journal::acknowledged counts{};
  again::journal::error_kind why = again::journal::error_kind::cancelled;
  std::atomic<bool> ended{false};  // what stands above is written before it
};

/// Threads: one runs `io_`, and on it all connections; `start`, `stop` and the destructor are the run's. What crosses: `intake_`, under the
/// mutex, so that no batch comes after `stop`; the end of a batch, which is posted; `open_`, under the mutex.
class listener final : public batch_source {
 public:
  listener(const deliver_settings& s, message_log& log) : settings_{s}, log_{log}, reader_{s} {
    if (s.listen.token_file) token_.emplace(*s.listen.token_file, "--listen-token-file");
    if (s.listen.certificate) tls_ = server_tls(*s.listen.certificate, *s.listen.key);
    listen(*s.listen.where);
    serving_ = std::thread{[this] { serve_all(); }};  // last: without a destructor nobody would join it
  }
  ~listener() override {
    stop_taking();
    {
      std::unique_lock lock{mutex_};  // responses on their way
      gone_.wait_for(lock, seconds{1}, [this] { return open_.empty(); });
    }
    io_.stop();
    if (serving_.joinable()) serving_.join();
  }

  void start(batch_intake& to) override {
    {
      const std::lock_guard lock{mutex_};
      intake_ = &to;
    }
    asio::co_spawn(io_, accept(), asio::detached);
    log_.say("deliver: --listen is {}://{}:{}/events", tls_ ? "https" : "http", host(), port_);
  }
  void stop() override { stop_taking(); }

 private:
  using request_parser = beast::http::request_parser<beast::http::string_body>;

  // ── the run's thread ──
  std::string host() const { return host_.find(':') == std::string::npos ? host_ : '[' + host_ + ']'; }
  void listen(std::string_view where) {
    const auto colon = where.rfind(':');
    if (colon != std::string_view::npos) host_ = where.substr(0, colon);
    if (host_.size() > 1 && host_.front() == '[' && host_.back() == ']') host_ = host_.substr(1, host_.size() - 2);
    const auto port =
        number_in<std::uint16_t>(colon == std::string_view::npos ? where : where.substr(colon + 1), 0, 65535);
    try {
      tcp::resolver resolver{io_};
      const auto found = resolver.resolve(host_, std::to_string(port), tcp::resolver::numeric_service);
      const tcp::endpoint at = *found.begin();
      if (!at.address().is_loopback()) {
        if (!token_)
          throw usage_error{fmt::format("--listen: {} is no loopback address: add --listen-token-file FILE, or leave "
                                        "the address out",
                                        host())};
        if (!tls_)
          log_.say("deliver: --listen: without --listen-cert and --listen-key, token and events travel unencrypted");
      }
      acceptor_.open(at.protocol());
      acceptor_.set_option(tcp::acceptor::reuse_address{true});
      acceptor_.bind(at);
      acceptor_.listen();
      port_ = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& problem) {
      throw usage_error{fmt::format("--listen: cannot listen on {}:{}: {}", host(), port, problem.code().message())};
    }
  }
  void stop_taking() {
    {
      const std::lock_guard lock{mutex_};
      intake_ = nullptr;
    }
    asio::post(io_, [this] {
      boost::system::error_code ignored;
      static_cast<void>(acceptor_.close(ignored));
      for (connection* const c : open_)
        if (!c->busy) c->cancel();
    });
  }

  // ── the server's thread ──
  void serve_all() noexcept {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& problem) { log_.say("deliver: --listen: {}", problem.what()); }
    }
  }
  bool stopping() {
    const std::lock_guard lock{mutex_};
    return intake_ == nullptr;
  }

  awaitable<void> accept() {
    asio::steady_timer pause{io_};
    while (acceptor_.is_open()) {
      auto [problem, socket] = co_await acceptor_.async_accept(as_result);
      if (problem == asio::error::operation_aborted) co_return;
      if (problem) {  // no descriptor is left: the others end some time
        pause.expires_after(std::chrono::milliseconds{100});
        co_await pause.async_wait(as_result);
        continue;
      }
      boost::system::error_code ignored;
      static_cast<void>(socket.set_option(tcp::no_delay{true}, ignored));
      try {
        const bool room = served_ < settings_.listen.connections;
        if (!room && (tls_ || turned_away_ == most_turned_away)) continue;
        auto c = std::make_shared<connection>(io_, wire::over(std::move(socket), tls_ ? &*tls_ : nullptr));
        asio::co_spawn(io_, room ? serve(std::move(c)) : turn_away(std::move(c)), asio::detached);
      } catch (const std::bad_alloc&) {}  // this one is not served
    }
  }

  /// Counts a connection as long as its coroutine runs.
  class counted {
   public:
    counted(listener& of, connection& c, std::size_t& count) : of_{of}, c_{c}, count_{count} {
      const std::lock_guard lock{of_.mutex_};
      of_.open_.insert(&c_);
      ++count_;
    }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() {
      const std::lock_guard lock{of_.mutex_};
      of_.open_.erase(&c_);
      --count_;
      if (of_.open_.empty()) of_.gone_.notify_all();
    }

   private:
    listener& of_;
    connection& c_;
    std::size_t& count_;
  };

  awaitable<void> turn_away(std::shared_ptr<connection> c) {
    const counted here{*this, *c, turned_away_};
    c->allow(seconds{1});
    const std::string text = text_of(refusal(503, "too many connections"), false, true);
    const bool written = co_await c->to().write(text);
    if (written) co_await linger(*c);
    c->close();
  }

  awaitable<void> serve(std::shared_ptr<connection> c) {
    const counted here{*this, *c, served_};
    try {
      c->allow(settings_.listen.timeout);
      bool more = co_await c->to().begin();
      while (more && !stopping()) more = co_await exchange(*c);
    } catch (const std::exception&) {}  // no memory: this client is let go
    c->close();
  }

  /// One request and its response. False: the connection is not used any more.
  awaitable<bool> exchange(connection& c) {
    request_parser parser;
    parser.header_limit(longest_head);
    parser.body_limit(settings_.listen.most_bytes);
    c.allow(settings_.listen.timeout);
    if (c.unread.size() == 0) {
      const bool begun = co_await c.fill();
      if (!begun) co_return false;
      c.allow(settings_.listen.timeout);
    }
    std::optional<reply> refused;
    reservation held{reserved_};
    const int bad_head = co_await parse_until(c, parser, [&parser] { return parser.is_header_done(); });
    if (bad_head == gone) co_return false;
    if (bad_head != 0) refused = unreadable(bad_head);
    if (!refused) refused = refused_head(parser, held);
    if (!refused && !parser.is_done()) {
      if (parser.get().find(beast::http::field::expect) != parser.get().end()) {
        const bool told = co_await c.to().write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!told) co_return false;
      }
      parser.eager(true);
      const int bad_body = co_await parse_until(c, parser, [&parser] { return parser.is_done(); });
      if (bad_body == gone) co_return false;
      if (bad_body != 0) refused = unreadable(bad_body);
    }
    reply response;
    if (refused) {
      response = std::move(*refused);
    } else {
      c.busy = true;
      c.allow(again::forever);
      response = co_await respond(parser);
      c.busy = false;
    }
    const bool whole = parser.is_done();
    const bool understood = !refused || (response.status != 400 && response.status != 505);
    const bool keep = whole && understood && parser.keep_alive() && !stopping();
    const bool head = parser.is_header_done() && parser.get().method() == beast::http::verb::head;
    c.allow(settings_.listen.timeout);
    const std::string text = text_of(response, head, !keep);
    const bool written = co_await c.to().write(text);
    if (written && !keep) co_await linger(c);
    co_return written&& keep;
  }

  static constexpr int gone = -1;
  /// Reads until `done()`. Gives 0, the status of a refusal, or `gone`: there is nobody to tell.
  template <class Done> static awaitable<int> parse_until(connection& c, request_parser& parser, Done done) {
    while (!done()) {
      beast::error_code problem;
      if (c.unread.size() > 0) {
        const std::size_t taken = parser.put(c.unread.data(), problem);
        c.unread.consume(taken);
        if (problem && problem != beast::http::error::need_more) {
          co_return problem == beast::http::error::body_limit ? 413
          : problem == beast::http::error::header_limit       ? 431
                                                              : 400;
        }
        if (done()) co_return 0;
        if (!problem && taken > 0 && c.unread.size() > 0) continue;
      }
      const bool filled = co_await c.fill();
      if (filled) continue;
      if (c.late()) co_return 408;
      if (c.crowded()) co_return 400;
      co_return gone;
    }
    co_return 0;
  }
  reply unreadable(int status) const {
    if (status == 408) return refusal(408, "the request came too slowly");
    if (status == 413) return too_large();
    if (status == 431) return refusal(431, "the head of the request is too large");
    return refusal(400, "this is no request of HTTP/1.1");
  }
  reply too_large() const {
    return refusal(413, fmt::format("more than {} bytes: send fewer events at a time", settings_.listen.most_bytes));
  }

  /// What is known before the body is read.
  std::optional<reply> refused_head(request_parser& parser, reservation& held) {
    const auto& head = parser.get();
    const auto text = [](auto view) { return std::string_view{view.data(), view.size()}; };
    const std::string_view method = text(head.method_string()), target = text(head.target());
    const std::string_view path = target.substr(0, target.find('?'));
    if (head.version() != 11 && head.version() != 10) return refusal(505, "HTTP/1.1 is spoken here");
    if (head.count(beast::http::field::host) > 1 || (head.version() == 11 && head.count(beast::http::field::host) == 0))
      return refusal(400, "a request names one Host");
    if (!token_ && !is_ours(text(head[beast::http::field::host])))
      return refusal(421, "this Host is not ours: --allow-host NAME lets it be");
    if (head.count(beast::http::field::origin) > 0 || head.count("Sec-Fetch-Site") > 0)
      return refusal(403, "events are taken from programs, and not from pages in a browser");
    if (path == "/healthz") {
      if (method != "GET" && method != "HEAD") return not_allowed("GET, HEAD");
      return std::nullopt;
    }
    if (token_ && !token_->allows(text(head[beast::http::field::authorization]))) {
      reply r = refusal(401, "a request needs the field Authorization: Bearer TOKEN");
      r.fields.emplace_back("WWW-Authenticate", "Bearer");
      return r;
    }
    if (path != "/events") return refusal(404, "events are posted to /events");
    if (method != "POST") return not_allowed("POST");
    const auto readable = post_reader::check(fields_of(parser));
    if (!readable) return refusal(readable.error().status, readable.error().why);
    const auto length = parser.content_length();
    if (length && *length > settings_.listen.most_bytes) return too_large();
    const std::size_t most = settings_.listen.most_bytes;
    if (!held.take(length ? static_cast<std::size_t>(*length) : most, most_reserved(most)))
      return refusal(503, "too many requests are being read");
    return std::nullopt;
  }
  static reply not_allowed(std::string_view methods) {
    reply r = refusal(405, fmt::format("{} alone", methods));
    r.fields.emplace_back("Allow", std::string{methods});
    return r;
  }
  static again::http::headers fields_of(const request_parser& parser) {
    again::http::headers all;
    for (const auto& field : parser.get())
      all.add(std::string{field.name_string().data(), field.name_string().size()},
              std::string_view{field.value().data(), field.value().size()});
    return all;
  }
  /// Without a token whoever reaches the port may post: so a page that reaches it through a name of its own (DNS rebinding) must not.
  bool is_ours(std::string_view host) const {
    if (host.empty()) return true;  // HTTP/1.0
    if (host.front() == '[') return true;
    const std::string name{host.substr(0, host.rfind(':'))};
    std::array<unsigned char, sizeof(in_addr)> address{};
    if (::inet_pton(AF_INET, name.c_str(), address.data()) == 1) return true;
    std::array<char, 256> machine{};
    static_cast<void>(::gethostname(machine.data(), machine.size() - 1));
    const auto same = [&name](const char* known) { return ::strcasecmp(name.c_str(), known) == 0; };
    return same("localhost") || same(host_.c_str()) || same(machine.data()) ||
           std::any_of(settings_.allowed_hosts.begin(), settings_.allowed_hosts.end(),
                       [&](const std::string& known) { return same(known.c_str()); });
  }
  /// Bodies that are being read or stored, in all.
  static std::size_t most_reserved(std::size_t each) noexcept {
    return std::max(std::size_t{64} << 20U, each > std::size_t{1} << 28U ? 2 * each : 16 * each);
  }

  awaitable<reply> respond(request_parser& parser) {
    const auto target = parser.get().target();
    if (std::string_view{target.data(), target.size()}.starts_with("/healthz")) {
      reply health = co_await healthz();
      co_return health;
    }
    auto posted = reader_.read(fields_of(parser), std::move(parser.get().body()));
    if (!posted) co_return refusal(posted.error().status, posted.error().why);
    std::vector<std::string> ids;
    for (const again::event& e : posted->events) ids.emplace_back(shown_id(e.id));
    again::journal::acknowledged counts{};
    if (!posted->events.empty()) {
      const auto batch = co_await store(std::move(posted->events));
      if (batch == nullptr) co_return refusal(503, "it is ending: post to the next one");
      if (batch->how != batch_end::stored) {
        if (batch->how == batch_end::failed) {  // the journal; what was refused says nothing of the next events
          healthy_ = false;
          failed_at_ = std::chrono::steady_clock::now();
        }
        co_return refusal(batch->how == batch_end::refused ? 400 : 503,
                          fmt::format("the journal does not take these events: {}", name(batch->why)));
      }
      healthy_ = true;
      counts = batch->counts;
    }
    reply r{posted->refused.empty() ? 202 : 400};
    json_object out{r.body};
    out.number("stored", counts.stored).number("repeated", counts.repeated);
    out.array("ids", ids.size(), [&](std::size_t i) { append_json(r.body, ids[i]); });
    if (!posted->refused.empty()) {
      out.array("refused", posted->refused.size(), [&](std::size_t i) {
        json_object{r.body}.number("index", posted->refused[i].place).text("reason", posted->refused[i].why).end();
      });
    }
    out.end();
    r.body += '\n';
    co_return r;
  }
  /// After a failure it is unhealthy for a while; then the journal is asked anew.
  awaitable<reply> healthz() {
    bool well = healthy_ || std::chrono::steady_clock::now() - failed_at_ > retry_after;
    if (well) {
      const auto batch = co_await store({});
      well = batch != nullptr && batch->how == batch_end::stored;
    }
    if (!well) co_return refusal(503, "the journal cannot store events now");
    co_return reply{200, "{\"ok\":true}\n"};
  }
  /// Null: no more is taken.
  awaitable<std::shared_ptr<handed_batch>> store(std::vector<again::event> events) {
    auto shared = std::make_shared<handed_batch>(io_);
    event_batch batch;
    batch.events.reserve(events.size());
    for (again::event& e : events) batch.events.emplace_back(std::move(e));
    batch.ended = [shared, this](batch_end how, const again::journal::acknowledged& counts,
                                 const again::journal::error& why) {
      shared->how = how;
      shared->counts = counts;
      shared->why = why.kind;
      shared->ended.store(true);
      try {
        asio::post(io_, [shared] { shared->wake.cancel(); });
      } catch (const std::bad_alloc&) {}  // it looks again after a second
    };
    {
      const std::lock_guard lock{mutex_};
      if (intake_ == nullptr) co_return nullptr;
      intake_->hand_over(std::move(batch));
    }
    while (!shared->ended.load()) {
      shared->wake.expires_after(seconds{1});
      if (shared->ended.load()) break;
      co_await shared->wake.async_wait(as_result);
    }
    co_return shared;
  }

  /// Takes and drops what the client still sends: to close at once would reset the connection before it has read the response.
  static awaitable<void> linger(connection& c) {
    c.allow(seconds{1});
    c.unread.consume(c.unread.size());
    c.finish();
    for (std::size_t taken = 0; taken < std::size_t{1} << 20U;) {
      const bool more = co_await c.fill();
      if (!more) co_return;
      taken += c.unread.size();
      c.unread.consume(c.unread.size());
    }
  }

  const deliver_settings& settings_;
  message_log& log_;
  std::optional<access_token> token_;
  std::optional<asio::ssl::context> tls_;
  std::string host_ = "127.0.0.1";
  std::uint16_t port_ = 0;

  std::mutex mutex_;
  batch_intake* intake_ = nullptr;  // under the mutex; null: nothing is taken
  std::set<connection*> open_;      // changed under the mutex, by the server's thread alone
  std::condition_variable gone_;    // none is open

  // the server's thread
  post_reader reader_;
  std::size_t served_ = 0, turned_away_ = 0, reserved_ = 0;
  bool healthy_ = true;
  std::chrono::steady_clock::time_point failed_at_{};

  asio::io_context io_{1};  // connections end with it: what they use stands above
  tcp::acceptor acceptor_{io_};
  asio::executor_work_guard<asio::io_context::executor_type> working_{io_.get_executor()};
  std::thread serving_;
};

}  // namespace

std::unique_ptr<batch_source> open_listener(const deliver_settings& s, message_log& log) {
  return std::make_unique<listener>(s, log);
}

#endif

}  // namespace programs
