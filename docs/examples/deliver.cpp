// SPDX-License-Identifier: MIT
// deliver URL...: one JSON event per line in, one JSON result per event out.
#include "delivery.hpp"
#include "interrupts.hpp"
#include "line_source.hpp"
#include "progress.hpp"

#include <again/explain.hpp>
#include <again/format.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <csignal>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace programs;
namespace http = again::http;

struct settings {
  retry_options how;
  std::vector<http::url> endpoints;
  std::optional<std::string> input;
  std::size_t parallel = 16;
  std::size_t longest = std::size_t{1} << 20U;
  again::duration grace = std::chrono::seconds{5};
  bool no_key = false;
  bool explain = false;
};

settings settings_of(int argc, char** argv) {
  settings s;
  options o{"deliver", "[options] URL...\n\nPOSTs each line of its input, one JSON event per line, and prints one JSON "
                       "result per event.\n"
                       "Several URLs take turns, also within the attempts for one event."};
  s.how.add_to(o);
  o.with("--input", "FILE", "read from it, not from stdin", [&s](std::string_view v) { s.input = v; });
  o.with("--parallel", "N", "events under way at a time (16)",
         [&s](std::string_view v) { s.parallel = number_in<std::size_t>(v, 1, 1024); });
  o.with("--max-line", "SIZE", "of one event (1MiB)",
         [&s](std::string_view v) { s.longest = static_cast<std::size_t>(std::max<std::uint64_t>(size_of(v), 2)); });
  o.with("--grace", "D", "after Ctrl-C, for what is under way (5s)",
         [&s](std::string_view v) { s.grace = duration_of(v); });
  o.on("--no-key", "send no Idempotency-Key: then only what was not sent is sent again", s.no_key);
  o.on("--explain", "print the schedule and its worst case, send nothing", s.explain);
  const std::vector<std::string> urls = o.parse(argc, argv);
  s.how.finish();
  if (s.explain) return s;
  if (urls.empty())
    throw usage_error{"needs a URL to deliver to: deliver http://127.0.0.1:8080/events < events.jsonl; deliver --help "
                      "tells the rest"};
  for (const std::string& text : urls) {
    auto url = http::parse_url(text);
    if (!url) throw usage_error{fmt::format("URL '{}': {}", text, url.error())};
    s.endpoints.push_back(*std::move(url));
  }
  http::request probe = http::request::post("/");
  for (const auto& [name, value] : s.how.headers) probe.headers().add(name, value);
  if (const auto bad = validate(probe)) throw usage_error{fmt::format("-H: {}", bad->text())};
  return s;
}

/// Prints results, complains about lines, and keeps count. The loop's thread.
class reporter {
 public:
  reporter(line_source& source, std::uint64_t total, bool verbose)
      : source_{source}, progress_{total}, verbose_{verbose} {}

  void refuse(std::size_t line, const std::string& why) {
    ++progress_.refused;
    say(fmt::format("deliver: line {}: not delivered: {}\n", line, why));
  }
  void began(const event&) { ++progress_.running; }
  void attempted(const event& e, const again::attempt_record& record) {
    if (record.attempt > 1) ++progress_.retries;
    if (verbose_) say(fmt::format("{}: {}\n", e.id, record));
    draw();
  }
  void finished(const event& e, const outcome& o) {
    if (progress_.running > 0 && o.attempts > 0) --progress_.running;
    ++(o.ok ? progress_.delivered : progress_.failed);
    json line;
    line["id"] = e.id;
    add_to(line, o);
    line["line"] = e.line;
    line["trace"] = to_json(o.trace);
    write(one_line(line) + '\n');
    draw();
  }
  void draw() { progress_.draw(source_.bytes_read()); }
  bool on_terminal() const noexcept { return progress_.shown(); }
  bool all_delivered() const noexcept { return progress_.failed == 0 && progress_.refused == 0 && !output_failed_; }

 private:
  void say(const std::string& text) {
    progress_.clear();
    fmt::print(stderr, "{}", text);
  }
  void write(const std::string& text) {
    progress_.clear();
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
    if (output_failed_) return;
    output_failed_ = true;
    say(fmt::format("deliver: results cannot be written: {}; reading no further\n", std::strerror(errno)));
    source_.close();
  }

  line_source& source_;
  progress progress_;
  bool verbose_;
  bool output_failed_ = false;
};

again::task<> redraw(reporter& report) {
  bool on = true;
  while (on) {
    report.draw();
    on = co_await again::sleep_for(std::chrono::milliseconds{100});
  }
}

again::task<> deliver_with_progress(line_source& source, delivery& to, const settings& s, reporter& report) {
  const again::context& here = co_await again::get_context();
  again::scope beside{here};
  if (report.on_terminal() && !s.how.no_wait) beside.spawn(redraw(report));
  co_await deliver_all(source, to, s.parallel, s.longest, report);
  beside.request_stop();
  co_await beside.join();
}

class input_file {
 public:
  explicit input_file(const std::optional<std::string>& path) : opened_{path.has_value()} {
    if (opened_) fd_ = ::open(path->c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw usage_error{fmt::format("--input: cannot read {}: {}", *path, std::strerror(errno))};
    struct stat about{};
    if (::fstat(fd_, &about) == 0 && S_ISREG(about.st_mode)) size_ = static_cast<std::uint64_t>(about.st_size);
    if (S_ISDIR(about.st_mode)) throw usage_error{fmt::format("--input: {} is a directory", path.value_or("stdin"))};
  }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  ~input_file() {
    if (opened_) ::close(fd_);
  }
  int fd() const noexcept { return fd_; }
  std::uint64_t size() const noexcept { return size_; }

 private:
  bool opened_;
  int fd_ = STDIN_FILENO;
  std::uint64_t size_ = 0;
};

int program(int argc, char** argv) {
  const settings s = settings_of(argc, argv);
  if (s.explain) {
    fmt::print("{}\n{}", s.how.policy, again::explain(s.how.policy));
    return 0;
  }
  const input_file input{s.input};
  std::signal(SIGPIPE, SIG_IGN);  // an output that nobody reads is noticed when it is written

  again::virtual_clock pretend{again::system_clocks().wall_now()};
  again::run_loop loop{s.how.no_wait ? static_cast<again::clock&>(pretend) : again::system_clocks(),
                       s.how.seed ? *s.how.seed : again::fresh_seed()};
  again::inplace_stop_source cancel;
  hold_interrupts();
  line_source source{loop, input.fd(), s.longest};
  const interrupts signals{
      std::chrono::duration_cast<std::chrono::milliseconds>(std::min<again::duration>(s.grace, std::chrono::hours{1})),
      [&source] { source.close(); }, [&cancel] { cancel.request_stop(); }};
  reporter report{source, input.size(), s.how.verbose};
  delivery to{s.endpoints, s.how, s.parallel, !s.no_key};
  again::sync_wait(loop, deliver_with_progress(source, to, s, report), cancel.get_token());

  const std::string problem = source.problem();
  if (!problem.empty()) fmt::print(stderr, "deliver: the input cannot be read: {}\n", problem);
  return report.all_delivered() && problem.empty() && !source.closed() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run("deliver", [&] { return program(argc, argv); });
}
