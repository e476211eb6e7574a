// SPDX-License-Identifier: MIT
#include "misbehaving_server.hpp"

#include "gate.hpp"
#include "http_text.hpp"
#include "wire.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace again_test {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using outcome = wire::outcome;

constexpr std::size_t max_head = 65'536;
constexpr auto linger_time = 1s;  // for peers that still send after our FIN
constexpr auto idle_time = 30ms;  // before `afterwards`

struct context_free {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using context_ptr = std::unique_ptr<SSL_CTX, context_free>;

[[noreturn]] void tls_failed(const char* doing) {
  std::array<char, 256> text{"no reason given"};
  if (const auto code = ERR_get_error(); code != 0) ERR_error_string_n(code, text.data(), text.size());
  throw std::runtime_error(std::string("misbehaving_server: ") + doing + ": " + text.data());
}

int number(tls_version version) {
  switch (version) {
    case tls_version::any: return 0;
    case tls_version::v1_1: return TLS1_1_VERSION;
    case tls_version::v1_2: return TLS1_2_VERSION;
    case tls_version::v1_3: return TLS1_3_VERSION;
  }
  return 0;
}

void use(SSL_CTX* context, const key_pair& own) {
  const auto bio = [](const std::string& text) {
    return std::unique_ptr<BIO, decltype(&BIO_free_all)>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                                         BIO_free_all};
  };
  const std::unique_ptr<X509, decltype(&X509_free)> shown{
      PEM_read_bio_X509(bio(own.certificate_pem).get(), nullptr, nullptr, nullptr), X509_free};
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      PEM_read_bio_PrivateKey(bio(own.key_pem).get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
  if (SSL_CTX_use_certificate(context, shown.get()) != 1 || SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    tls_failed("using a certificate made for this test");
}

context_ptr tls_context(const tls_options& options, certificate shown) {
  const certificates& all = certificates::shared();
  context_ptr made{SSL_CTX_new(TLS_server_method())};
  SSL_CTX* const context = made.get();
  if (!context) tls_failed("SSL_CTX_new");
  // versions before 1.2 exist only at the lowest security level
  if (options.max == tls_version::v1_1) SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(context, number(options.min));
  SSL_CTX_set_max_proto_version(context, number(options.max));
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  constexpr std::array<unsigned char, 5> id{'a', 'g', 'a', 'i', 'n'};
  SSL_CTX_set_session_id_context(context, id.data(), id.size());
  if (options.own && shown == options.certificate) {
    use(context, *options.own);
  } else if (SSL_CTX_use_certificate_chain_file(context, all.certificate_file(shown).c_str()) != 1 ||
             SSL_CTX_use_PrivateKey_file(context, all.key_file(shown).c_str(), SSL_FILETYPE_PEM) != 1) {
    tls_failed("using a test certificate");
  }
  if (options.demand_client_certificate) {
    if (SSL_CTX_load_verify_locations(context, all.authority_file().c_str(), nullptr) != 1)
      tls_failed("trusting the test authority");
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(all.authority_file().c_str()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return made;
}

/// Steps that only a connection attempt can meet.
bool of_connection(action what) noexcept {
  switch (what) {
    case action::refuse:
    case action::blackhole:
    case action::tls_handshake_stall:
    case action::tls_untrusted:
    case action::tls_wrong_host:
    case action::tls_expired:
    case action::plain_http: return true;
    default: return false;
  }
}

/// Steps that are decided when a connection is accepted.
bool at_accept(action what) noexcept {
  return what == action::close_on_accept ||
         (of_connection(what) && what != action::refuse && what != action::blackhole);
}

std::optional<certificate> certificate_of(action what) noexcept {
  switch (what) {
    case action::tls_untrusted: return certificate::self_signed;
    case action::tls_wrong_host: return certificate::wrong_host;
    case action::tls_expired: return certificate::expired;
    default: return std::nullopt;
  }
}

void check(const step& s, const server_options& options, const std::string& where) {
  const auto wrong = [&](const std::string& why) {
    throw std::invalid_argument("misbehaving_server: " + where + " (" + std::string(name(s.what)) + "): " + why);
  };
  if (s.status < 100 || s.status > 999) wrong("status " + std::to_string(s.status) + " is not within 100..999");
  if (s.wait.count() < 0 || s.interval.count() < 0) wrong("negative time");
  if (certificate_of(s.what) && !options.tls) wrong("needs server_options::tls");
  if (s.what == action::blackhole && options.family == family::unix_domain)
    wrong("not possible on a unix-domain socket");
  if (s.what == action::delay || s.what == action::slice) {
    if (!s.inner) wrong("needs an inner step");
    if (of_connection(s.inner->what))
      wrong(std::string(name(s.inner->what)) + " is about connections and cannot be inside");
    check(*s.inner, options, where + ", inner step");
  }
}

step the_script_has_run_out(std::size_t arrival, std::size_t steps) {
  return respond(500).body("the script has run out: request " + std::to_string(arrival + 1) + " met a script of " +
                           std::to_string(steps) + " steps\n");
}

/// Bytes that are neither HTTP nor TLS, the same every time.
std::string nonsense() {
  std::string bytes;
  unsigned state = 0x2545F491U;
  for (int i = 0; i < 512; ++i) {
    state = state * 1664525U + 1013904223U;
    bytes += static_cast<char>(state >> 24);
  }
  return bytes;
}

/// New threads inherit the mask: no signal of the program lands here, and a write to a reset socket is an error, not SIGPIPE.
class signals_blocked {
 public:
  signals_blocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

const std::string* seen_request::header(std::string_view field) const noexcept { return find(headers, field); }

class misbehaving_server::engine {
 public:
  engine(std::vector<step> script, table decide, server_options options)
      : options_(std::move(options)),
        decide_(std::move(decide)),
        script_(script.begin(), script.end()),
        scripted_(script.size()),
        gate_(options_.family, options_.port, options_.unix_path) {
    for (std::size_t i = 0; i < script_.size(); ++i) check(script_[i], options_, "step " + std::to_string(i));
    if (options_.otherwise) {
      check(*options_.otherwise, options_, "options.otherwise");
      if (of_connection(options_.otherwise->what)) {
        throw std::invalid_argument("misbehaving_server: options.otherwise (" +
                                    std::string(name(options_.otherwise->what)) +
                                    "): is about connections; only requests have a default");
      }
    }
    if (options_.tls) {
      const auto make = [this](certificate which) { contexts_[which] = tls_context(*options_.tls, which); };
      for (const certificate which :
           {options_.tls->certificate, certificate::self_signed, certificate::wrong_host, certificate::expired}) {
        if (!contexts_[which]) make(which);
      }
    }
    wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "misbehaving_server: eventfd");
    try {
      start();
    } catch (...) {
      ::close(wake_fd_);
      throw;
    }
  }
  ~engine() {
    stop();
    ::close(wake_fd_);
  }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  void start() {
    const std::lock_guard one_at_a_time(lifecycle_);
    std::unique_lock lock(mutex_);
    if (running_) return;
    if (::pipe2(stop_pipe_.data(), O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category(), "misbehaving_server: pipe");
    stopping_ = false;
    head_since_ = clock::now();
    applied_ = wanted();
    try {
      apply(applied_);
      const signals_blocked blocked;
      acceptor_ = std::thread([this] { accept_connections(); });
    } catch (...) {
      for (const int fd : stop_pipe_) ::close(fd);
      throw;
    }
    running_ = true;
  }

  void stop() {
    const std::lock_guard one_at_a_time(lifecycle_);
    {
      const std::lock_guard lock(mutex_);
      if (!running_) return;
      stopping_ = true;
      ::close(stop_pipe_[1]);  // hang-up on the other end wakes every wait, and stays
      changed_.notify_all();
    }
    acceptor_.join();
    for (connection& c : connections_) c.thread.join();  // the acceptor is gone: no other thread touches the list
    connections_.clear();
    gate_.set(gate::state::closed);
    gate_.unwatch_refusals();
    ::close(stop_pipe_[0]);
    const std::lock_guard lock(mutex_);
    running_ = false;
  }

  void add(step next) {
    std::unique_lock lock(mutex_);
    check(next, options_, "added step");
    if (decide_) throw std::logic_error("misbehaving_server: a server with a table has no script to add to");
    ++scripted_;
    if (script_.empty()) head_since_ = clock::now();
    script_.push_back(std::move(next));
    settle(lock);
  }

  void refusal_seen() {
    std::unique_lock lock(mutex_);
    if (script_.empty() || script_.front().what != action::refuse) return;
    ++counts_.refused;
    pop(script_.begin());
    settle(lock);
  }

  void hang_up() {
    const std::lock_guard lock(mutex_);
    for (const connection& c : connections_) {
      if (c.fd >= 0) ::shutdown(c.fd, SHUT_RDWR);
    }
  }

  bool wait_until(const std::function<bool(const tally&)>& holds, std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, at_most, [&] { return holds(current()); });
  }

  tally counts() const {
    const std::lock_guard lock(mutex_);
    return current();
  }
  std::map<std::string, std::size_t> by_key() const {
    const std::lock_guard lock(mutex_);
    return by_key_;
  }
  std::vector<seen_request> requests() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  seen_request request(std::size_t arrival) const {
    const std::lock_guard lock(mutex_);
    if (arrival < records_.size()) return records_[arrival];
    throw std::out_of_range("misbehaving_server: request " + std::to_string(arrival) + " asked for, " +
                            std::to_string(counts_.requests) + " seen, the first " + std::to_string(records_.size()) +
                            " kept");
  }
  std::vector<std::string> complaints() const {
    const std::lock_guard lock(mutex_);
    return complaints_;
  }
  const server_options& options() const noexcept { return options_; }
  int port() const noexcept { return gate_.port(); }

 private:
  struct connection {
    std::thread thread;
    std::size_t index = 0;
    int fd = -1;  // -1 once it is about to be closed
    bool finished = false;
  };
  enum class then_what { next_request, finish };

  // --- the script; all with mutex_ held -------------------------------------------------------------------------------

  tally current() const {
    tally now = counts_;
    now.steps_left = script_.size();
    return now;
  }

  void pop(const std::deque<step>::const_iterator& which) {
    if (which == script_.begin()) head_since_ = clock::now();
    script_.erase(which);
    changed_.notify_all();
  }

  gate::state wanted() const {
    if (script_.empty()) return gate::state::open;
    if (script_.front().what == action::refuse) return gate::state::closed;
    return script_.front().what == action::blackhole ? gate::state::dropping : gate::state::open;
  }

  /// Returns when the listening side is as the script's next step wants it, so that no client can be faster than the script.
  void settle(std::unique_lock<std::mutex>& lock) {
    if (applied_ == wanted()) return;
    wake();
    changed_.wait(lock, [this] { return stopping_ || !running_ || applied_ == wanted(); });
  }

  step take_step(std::size_t arrival) {
    const auto next =
        std::find_if(script_.begin(), script_.end(), [](const step& s) { return !of_connection(s.what); });
    if (next != script_.end()) {
      step taken = std::move(*next);
      pop(next);
      return taken;
    }
    if (options_.otherwise) return *options_.otherwise;
    ++counts_.overruns;
    return the_script_has_run_out(arrival, scripted_);
  }

  void complain(std::string about) {
    if (complaints_.size() < 1000) complaints_.push_back(std::move(about));
  }

  // --- listening; the acceptor's thread ------------------------------------------------------------------------------

  void wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
  }

  void apply(gate::state state) {
    if (state == gate::state::closed && options_.refusals == refusals::counted) gate_.watch_refusals();
    gate_.set(state);
    if (state != gate::state::closed) gate_.unwatch_refusals();
  }

  void accept_connections() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      reap(lock);
      if (end_outage()) continue;
      if (applied_ != wanted()) {
        const auto next = wanted();
        try {
          apply(next);
        } catch (const std::exception& trouble) { complain(trouble.what()); }
        applied_ = next;
        changed_.notify_all();
        continue;
      }
      const bool room = counts_.open_connections < options_.max_connections;
      const int timeout = accept_timeout();
      const int listener = room && applied_ == gate::state::open ? gate_.listener() : -1;  // poll ignores -1
      lock.unlock();
      std::array<pollfd, 4> fds{
          {{stop_pipe_[0], POLLIN, 0}, {wake_fd_, POLLIN, 0}, {listener, POLLIN, 0}, {gate_.watch(), POLLIN, 0}}};
      ::poll(fds.data(), fds.size(), timeout);
      if (fds[1].revents != 0) {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto got = ::read(wake_fd_, &ignored, sizeof ignored);
      }
      const std::size_t refused = applied_ == gate::state::closed ? gate_.refused() : 0;
      const bool look_for_syns = applied_ == gate::state::dropping || !gate_.dropped().empty();
      const auto waiting = look_for_syns ? gate_.waiting_clients() : std::vector<std::uint16_t>{};
      lock.lock();
      note_refused(refused);
      if (look_for_syns) note_dropped(waiting);
      if (fds[2].revents != 0 && applied_ == wanted()) accept_one();
    }
  }

  /// An outage of given length ends by the clock, whatever came meanwhile.
  bool end_outage() {
    if (script_.empty()) return false;
    const step& head = script_.front();
    if (head.what != action::refuse && head.what != action::blackhole) return false;
    if (head.wait.count() == 0 || clock::now() < head_since_ + head.wait) return false;
    pop(script_.begin());
    return true;
  }

  int accept_timeout() const {
    long long timeout = -1;
    const auto at_most = [&timeout](long long ms) { timeout = timeout < 0 ? ms : std::min(timeout, ms); };
    if (applied_ == gate::state::dropping) at_most(2);
    if (!gate_.dropped().empty()) at_most(50);
    if (applied_ == gate::state::closed && options_.refusals == refusals::counted && gate_.watch() < 0 &&
        options_.family != family::unix_domain) {
      at_most(2);
    }
    if (applied_ != gate::state::open && !script_.empty() && script_.front().wait.count() > 0) {
      const auto left = head_since_ + script_.front().wait - clock::now();
      at_most(std::max<long long>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    }
    return static_cast<int>(std::min<long long>(timeout, 60'000));
  }

  void note_refused(std::size_t attempts) {
    counts_.refused += attempts;
    for (; attempts > 0 && !script_.empty() && script_.front().what == action::refuse &&
           script_.front().wait.count() == 0;
         --attempts) {
      pop(script_.begin());
    }
    if (attempts > 0) changed_.notify_all();
  }

  void note_dropped(const std::vector<std::uint16_t>& waiting) {
    std::vector<std::uint16_t> dropped;  // those that have given up are forgotten: their port may come again
    std::set_intersection(gate_.dropped().begin(), gate_.dropped().end(), waiting.begin(), waiting.end(),
                          std::back_inserter(dropped));
    for (const std::uint16_t client : waiting) {
      if (std::binary_search(dropped.begin(), dropped.end(), client)) continue;
      if (script_.empty() || script_.front().what != action::blackhole) break;
      ++counts_.blackholed;
      dropped.insert(std::upper_bound(dropped.begin(), dropped.end(), client), client);
      if (script_.front().wait.count() == 0) pop(script_.begin());
      changed_.notify_all();
    }
    try {
      gate_.drop(std::move(dropped));
    } catch (const std::exception& trouble) { complain(trouble.what()); }
  }

  void accept_one() {
    const int fd = gate_.accept();
    if (fd < 0) {
      if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        complain("accept: " + std::generic_category().message(errno));
      }
      return;
    }
    std::optional<step> special;
    if (!script_.empty() && at_accept(script_.front().what)) {
      special = std::move(script_.front());
      pop(script_.begin());
    }
    connection& c = connections_.emplace_back();
    c.index = counts_.connections++;
    c.fd = fd;
    ++counts_.open_connections;
    changed_.notify_all();
    try {
      c.thread = std::thread([this, &c, fd, special = std::move(special)] { run(c, fd, special); });
    } catch (const std::system_error& trouble) {
      complain(trouble.what());
      ::close(fd);
      connections_.pop_back();
      --counts_.open_connections;
    }
  }

  void reap(std::unique_lock<std::mutex>& lock) {
    std::list<connection> finished;
    for (auto c = connections_.begin(); c != connections_.end();) {
      const auto next = std::next(c);
      if (c->finished) finished.splice(finished.end(), connections_, c);
      c = next;
    }
    if (finished.empty()) return;
    lock.unlock();
    for (connection& c : finished) c.thread.join();
    lock.lock();
  }

  // --- one connection; its own thread ---------------------------------------------------------------------------------

  void run(connection& c, int fd, const std::optional<step>& special) {
    {
      wire w(fd, stop_pipe_[0]);
      try {
        serve(w, c.index, special);
      } catch (const std::exception& trouble) {
        const std::lock_guard lock(mutex_);
        complain(std::string("connection thread: ") + trouble.what());
      }
      const std::lock_guard lock(mutex_);
      c.fd = -1;
    }
    ::close(fd);
    const std::lock_guard lock(mutex_);
    --counts_.open_connections;
    c.finished = true;
    changed_.notify_all();
    wake();
  }

  void finish(wire& w) const { w.end_writing(options_.tls && options_.tls->close_notify); }

  void serve(wire& w, std::size_t index, const std::optional<step>& special) {
    certificate shown = options_.tls ? options_.tls->certificate : certificate::trusted;
    if (special) {
      if (special->what == action::close_on_accept) {
        w.end_writing(false);
        return w.drain(linger_time);  // closing with bytes unread would be an RST
      }
      if (special->what == action::tls_handshake_stall) {
        if (w.silence(special->wait) == outcome::timed_out) {
          w.end_writing(false);
          w.drain(linger_time);
        }
        return;
      }
      if (special->what == action::plain_http) {
        std::string hello;
        if (w.read(hello) != outcome::done) return;
        w.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\nConnection: close\r\n\r\nplain HTTP.\n");
        w.end_writing(false);
        return w.drain(linger_time);
      }
      shown = certificate_of(special->what).value_or(shown);
    }
    if (options_.tls) {
      const auto shaken = w.handshake(contexts_.at(shown).get());
      if (shaken != outcome::done) {
        const std::lock_guard lock(mutex_);
        if (shaken != outcome::stopped) ++counts_.failed_handshakes;
        changed_.notify_all();
        return;
      }
    }
    std::string buffer;
    std::optional<step> idle;  // whose `then` is due if no request comes
    while (handle_request(w, index, buffer, idle) == then_what::next_request) {}
  }

  then_what handle_request(wire& w, std::size_t index, std::string& buffer, std::optional<step>& idle) {
    std::string head;
    if (!read_head(w, buffer, head, idle)) return then_what::finish;
    idle.reset();

    seen_request r;
    r.connection = index;
    r.server_name = w.server_name();
    r.resumed = w.resumed();
    std::vector<std::string> faults;
    const bool sensible = parse_head(head, r, faults);
    step s;
    {
      std::unique_lock lock(mutex_);
      for (auto& fault : faults) complain(std::move(fault));
      if (!sensible) {
        lock.unlock();
        return refuse_to_understand(w, "request line");
      }
      r.at = clock::now();
      r.arrival = counts_.requests++;
      if (records_.size() < options_.kept_requests) records_.push_back(r);
      if (!decide_) {
        s = take_step(r.arrival);
        settle(lock);
      }
      changed_.notify_all();
    }
    if (decide_ && options_.decide_before_body) s = ask_table(r);
    const bool decided = !decide_ || options_.decide_before_body;
    if (decided && (s.what == action::early_response || s.what == action::unread || s.what == action::stop_reading)) {
      r.body = buffer.substr(0, options_.kept_body);
      r.body_bytes = buffer.size();
      if (!decide_) count_key(r);
      record(r);
      return perform(w, r, s, idle);
    }
    std::string fault;
    const bool echoes = decided && s.what == action::echo;
    if (echoes && w.write(echo_head(r)) != outcome::done) return then_what::finish;
    const auto read = read_body(w, buffer, r, fault, echoes);
    r.body_complete = read == outcome::done;
    if (!decide_) count_key(r);
    if (read == outcome::done && decide_ && !options_.decide_before_body) s = ask_table(r);
    record(r);
    if (!fault.empty()) {
      {
        const std::lock_guard lock(mutex_);
        complain(r.method + " " + r.target + ": " + fault);
      }
      return refuse_to_understand(w, fault);
    }
    return read == outcome::done ? perform(w, r, s, idle) : then_what::finish;
  }

  then_what refuse_to_understand(wire& w, const std::string& what) {
    w.write(response_head(respond(400).body(what), true) + what);
    finish(w);
    w.drain(linger_time);
    return then_what::finish;
  }

  /// Up to and without the empty line. False: the connection has come to its end.
  bool read_head(wire& w, std::string& buffer, std::string& head, std::optional<step>& idle) {
    for (;;) {
      while (buffer.compare(0, 2, "\r\n") == 0) {  // RFC 9112 2.2: ignored, but a client should not
        buffer.erase(0, 2);
        const std::lock_guard lock(mutex_);
        complain("empty line before a request");
      }
      if (const auto end = buffer.find("\r\n\r\n"); end != std::string::npos) {
        head = buffer.substr(0, end);
        buffer.erase(0, end + 4);
        return true;
      }
      if (buffer.size() > max_head) {
        {
          const std::lock_guard lock(mutex_);
          complain("headers of more than " + std::to_string(max_head) + " bytes");
        }
        w.write(response_head(respond(431), true));
        finish(w);
        w.drain(linger_time);
        return false;
      }
      wire::limit until;
      if (idle && buffer.empty()) until = clock::now() + (idle->wait.count() > 0 ? idle->wait : idle_time);
      const auto got = w.read(buffer, until);
      if (got == outcome::done) continue;
      if (got == outcome::timed_out && idle) {
        if (!act_when_idle(w, *std::exchange(idle, std::nullopt)->then)) return false;
        continue;
      }
      if (got == outcome::ended && !buffer.empty()) {
        const std::lock_guard lock(mutex_);
        complain("connection ended inside the headers: " + buffer.substr(0, 100));
      }
      return false;
    }
  }

  /// False: the connection ends with it.
  bool act_when_idle(wire& w, afterwards what) {
    bool stays = false;
    if (what == afterwards::send_extra_response) {
      stays = w.write("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nunsolicited") == outcome::done;
    } else {
      if (what == afterwards::send_408_close) {
        w.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      }
      finish(w);
    }
    const std::lock_guard lock(mutex_);
    ++counts_.idle_actions;
    changed_.notify_all();
    return stays;
  }

  static std::string echo_head(const seen_request& r) {
    const std::string* const length = r.header("Content-Length");
    return "HTTP/1.1 200 OK\r\n" + (length ? "Content-Length: " + *length : "Connection: close") + "\r\n\r\n";
  }

  outcome read_body(wire& w, std::string& buffer, seen_request& r, std::string& fault, bool echoes) {
    const bool chunked = has_token(r.headers, "Transfer-Encoding", "chunked");
    std::size_t left = 0;
    if (!chunked) {
      const std::string* const length = r.header("Content-Length");
      if (!length) return outcome::done;
      if (length->empty() || length->size() > 18 || length->find_first_not_of("0123456789") != std::string::npos) {
        fault = "Content-Length " + *length;
        return outcome::failed;
      }
      left = std::stoull(*length);
    }
    if (has_token(r.headers, "Expect", "100-continue") && options_.respond_to_expect_continue &&
        (chunked || left > buffer.size())) {
      {
        const std::lock_guard lock(mutex_);
        ++counts_.continues;
        changed_.notify_all();
      }
      if (const auto sent = w.write("HTTP/1.1 100 Continue\r\n\r\n"); sent != outcome::done) return sent;
    }
    outcome echoed = outcome::done;
    const auto keep = [&](std::string_view piece) {
      if (echoes && echoed == outcome::done) echoed = w.write(piece);
      r.body_bytes += piece.size();
      r.body.append(piece.substr(0, options_.kept_body - std::min(options_.kept_body, r.body.size())));
    };
    chunk_reader chunks;
    for (;;) {
      if (chunked) {
        std::string piece;
        const auto taken = chunks.take(buffer, piece);
        keep(piece);
        if (taken == chunk_reader::result::complete) return outcome::done;
        if (taken == chunk_reader::result::wrong) {
          fault = "chunk size";
          return outcome::failed;
        }
      } else {
        const std::size_t got = std::min(left, buffer.size());
        keep(std::string_view(buffer).substr(0, got));
        buffer.erase(0, got);
        left -= got;
        if (left == 0) return outcome::done;
      }
      if (echoed != outcome::done) return echoed;
      if (const auto got = w.read(buffer); got != outcome::done) return got;
    }
  }

  void record(const seen_request& r) {
    const std::lock_guard lock(mutex_);
    if (r.arrival < records_.size()) records_[r.arrival] = r;
    changed_.notify_all();
  }

  std::size_t count_key(seen_request& r) {
    r.key = options_.key ? options_.key(r) : r.target;
    const std::lock_guard lock(mutex_);
    return ++by_key_[r.key];
  }

  step ask_table(seen_request& r) {
    std::string trouble;
    try {
      const auto nth = count_key(r);
      step s = decide_(r, static_cast<int>(nth));
      if (!of_connection(s.what)) {
        check(s, options_, "step of the table");
        return s;
      }
      trouble = "a table cannot respond with " + std::string(name(s.what)) + ": the connection is there already";
    } catch (const std::exception& thrown) { trouble = std::string("the table threw: ") + thrown.what(); }
    const std::lock_guard lock(mutex_);
    complain(trouble);
    return respond(500).body(trouble);
  }

  // --- what is done to a request --------------------------------------------------------------------------------------

  then_what perform(wire& w, const seen_request& r, const step& s, std::optional<step>& idle) {
    switch (s.what) {
      case action::respond: return response(w, r, s, idle);
      case action::close:
      case action::close_on_accept:  // met on a connection that was open already
        finish(w);
        return then_what::finish;
      case action::reset: w.reset_on_close(); return then_what::finish;
      case action::hang:
        if (w.silence(s.wait) == outcome::timed_out) finish(w);
        return then_what::finish;
      case action::delay:
        if (s.wait.count() > 0 && w.silence(s.wait) != outcome::timed_out) return then_what::finish;
        return perform(w, r, *s.inner, idle);
      case action::drip: {
        if (w.write(response_head(s, wants_close(r))) != outcome::done) return then_what::finish;
        const auto gap = std::max(s.interval, std::chrono::milliseconds{1});
        if (!bodyless(s.status, r.method)) {
          for (const char c : s.content) {
            if (w.silence(gap) != outcome::timed_out || w.write({&c, 1}) != outcome::done) return then_what::finish;
          }
        }
        return after(w, r, s, idle);
      }
      case action::slice: {
        w.byte_by_byte(s.interval);
        const auto next = perform(w, r, *s.inner, idle);
        w.as_usual();
        return next;
      }
      case action::truncated: {
        step claim = s;
        if (!claim.content_length) claim.content_length = s.content.size() + 10;
        if (w.write(response_head(claim, false) + s.content) != outcome::done) return then_what::finish;
        return end(w, s.end);
      }
      case action::stall_body: {
        step claim = s;
        if (!claim.content_length) claim.content_length = s.content.size() + 1;
        if (w.write(response_head(claim, false) + s.content) != outcome::done) return then_what::finish;
        if (w.silence(s.wait) == outcome::timed_out) finish(w);
        return then_what::finish;
      }
      case action::raw:
        if (w.write(s.content) != outcome::done) return then_what::finish;
        return end(w, s.end);
      case action::garbage:
        if (w.write(nonsense()) != outcome::done) return then_what::finish;
        return end(w, s.end);
      case action::early_response:
        if (w.write(response_head(s, true) + (bodyless(s.status, r.method) ? std::string{} : s.content)) !=
            outcome::done) {
          return then_what::finish;
        }
        finish(w);
        w.drain(s.wait.count() > 0 ? s.wait : 5s);
        return then_what::finish;
      case action::unread:
        w.shrink_window();
        if (w.write(s.content) == outcome::done) w.silence({});
        return then_what::finish;
      case action::echo:  // as far as `read_body` has not done it
        if (r.header("Content-Length")) return then_what::next_request;
        finish(w);
        return then_what::finish;
      case action::stop_reading:
        w.shrink_window();
        w.silence(s.wait);
        w.reset_on_close();
        return then_what::finish;
      case action::tls_close_after_write: w.end_writing(true); return then_what::finish;
      case action::refuse:
      case action::blackhole:
      case action::tls_handshake_stall:
      case action::tls_untrusted:
      case action::tls_wrong_host:
      case action::tls_expired:
      case action::plain_http: break;  // never taken for a request
    }
    return then_what::finish;
  }

  static bool wants_close(const seen_request& r) {
    if (has_token(r.headers, "Connection", "close")) return true;
    return r.version == "HTTP/1.0" && !has_token(r.headers, "Connection", "keep-alive");
  }

  then_what response(wire& w, const seen_request& r, const step& s, std::optional<step>& idle) {
    std::string text = response_head(s, wants_close(r));
    if (!bodyless(s.status, r.method)) {
      if (s.chunked && !s.content.empty()) {
        std::array<char, 20> size{};
        std::snprintf(size.data(), size.size(), "%zx\r\n", s.content.size());
        text += size.data() + s.content + "\r\n";
      } else {
        text += s.content;
      }
      if (s.chunked) text += "0\r\n\r\n";
    }
    if (w.write(text) != outcome::done) return then_what::finish;
    return after(w, r, s, idle);
  }

  then_what after(wire& w, const seen_request& r, const step& s, std::optional<step>& idle) {
    const bool says_close = has_token(s.headers, "Connection", "close") && !s.then;
    if (wants_close(r) || s.no_length || says_close) {
      finish(w);
      return then_what::finish;
    }
    if (s.then && *s.then != afterwards::keep) idle = s;
    return then_what::next_request;
  }

  then_what end(wire& w, ending how) {
    if (how == ending::keep) return then_what::next_request;
    if (how == ending::reset) {
      w.reset_on_close();
    } else {
      finish(w);
    }
    return then_what::finish;
  }

  const server_options options_;
  const table decide_;
  std::map<certificate, context_ptr> contexts_;

  std::mutex lifecycle_;      // of start and stop
  mutable std::mutex mutex_;  // of what follows
  mutable std::condition_variable changed_;
  std::deque<step> script_;
  std::size_t scripted_;
  clock::time_point head_since_;  // when the first step of the script became the first
  tally counts_;
  std::map<std::string, std::size_t> by_key_;
  std::vector<seen_request> records_;
  std::vector<std::string> complaints_;
  std::list<connection> connections_;
  bool running_ = false;
  bool stopping_ = false;
  gate::state applied_ = gate::state::closed;  // written by the acceptor alone

  gate gate_;  // of the acceptor while it runs
  int wake_fd_ = -1;
  std::array<int, 2> stop_pipe_{-1, -1};
  std::thread acceptor_;
};

misbehaving_server::misbehaving_server(std::vector<step> script, server_options options)
    : engine_(std::make_unique<engine>(std::move(script), table{}, std::move(options))) {}

misbehaving_server::misbehaving_server(asked, table decide, server_options options) {
  if (!decide) throw std::invalid_argument("misbehaving_server: the table is an empty function");
  engine_ = std::make_unique<engine>(std::vector<step>{}, std::move(decide), std::move(options));
}

misbehaving_server::~misbehaving_server() = default;

int misbehaving_server::port() const noexcept { return engine_->port(); }

std::string misbehaving_server::host() const {
  switch (engine_->options().family) {
    case family::ipv4: return "127.0.0.1";
    case family::ipv6: return "[::1]";
    case family::unix_domain: break;
  }
  return "localhost";
}

std::string misbehaving_server::url(std::string_view path, std::string_view scheme) const {
  std::string text(scheme.empty() ? (engine_->options().tls ? "https" : "http") : scheme);
  text += "://" + host();
  if (engine_->options().family != family::unix_domain) text += ":" + std::to_string(port());
  return text.append(path);
}

std::string misbehaving_server::authority_file() { return certificates::shared().authority_file().string(); }
tally misbehaving_server::counts() const { return engine_->counts(); }
std::size_t misbehaving_server::requests_seen() const { return counts().requests; }

std::size_t misbehaving_server::requests_seen(std::string_view key) const {
  const auto all = engine_->by_key();
  const auto found = all.find(std::string(key));
  return found == all.end() ? 0 : found->second;
}

std::map<std::string, std::size_t> misbehaving_server::requests_by_key() const { return engine_->by_key(); }
std::size_t misbehaving_server::connections_seen() const { return counts().connections; }
std::size_t misbehaving_server::open_connections() const { return counts().open_connections; }
std::size_t misbehaving_server::overruns() const { return counts().overruns; }
std::vector<seen_request> misbehaving_server::requests() const { return engine_->requests(); }
seen_request misbehaving_server::request(std::size_t arrival) const { return engine_->request(arrival); }
std::vector<std::string> misbehaving_server::complaints() const { return engine_->complaints(); }

bool misbehaving_server::wait_until(const std::function<bool(const tally&)>& holds,
                                    std::chrono::milliseconds at_most) const {
  return engine_->wait_until(holds, at_most);
}

bool misbehaving_server::wait_until_no_connection(std::chrono::milliseconds at_most) const {
  return wait_until([](const tally& now) { return now.open_connections == 0; }, at_most);
}

void misbehaving_server::add(step next) { engine_->add(std::move(next)); }
void misbehaving_server::refusal_seen() { engine_->refusal_seen(); }
void misbehaving_server::hang_up() { engine_->hang_up(); }
void misbehaving_server::stop() { engine_->stop(); }
void misbehaving_server::start() { engine_->start(); }

}  // namespace again_test
