// SPDX-License-Identifier: MIT
/// \file
/// `layout`: which streams a journal has, what their subjects are, and how they are made and recognised. docs/decisions has the reasons.
///
/// | stream | subjects | what it keeps |
/// |---|---|---|
/// | NAME | NAME.event.KEY.ID | unfinished events; an acknowledged one leaves it (work queue). Full: refuses (discard new) |
/// | NAME_results | NAME.result.ID | the last state of each event: progress, a repeated lease, or its one end |
/// | NAME_dead | NAME.dead.ID | dead events, whole |
/// | NAME_endpoints | NAME.endpoint.ENDPOINT | the last state of each endpoint, for ever |
///
/// KEY, ID and ENDPOINT are the order key ("~": none), the id and the name, in the alphabet of base64url. A journal of an older program has
/// no NAME_endpoints. It has the same format nevertheless: the others do not change, and the older program does not look for it.
#pragma once

#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

inline constexpr int format_version = 1;
inline constexpr std::string_view format_name = "again journal, format ";

/// Bytes of an id and its order key together: a subject with them has to fit into a line of the protocol.
inline constexpr std::size_t longest_id = 2048;

/// As one word of a subject.
inline std::string word_of(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (bytes.empty()) return "~";
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  unsigned held = 0, bits = 0;
  for (const char c : bytes) {
    held = (held << 8U | static_cast<unsigned char>(c)) & 0xffffU;
    for (bits += 8; bits >= 6; bits -= 6) out += digits[held >> (bits - 6) & 0x3fU];
  }
  if (bits > 0) out += digits[held << (6 - bits) & 0x3fU];
  return out;
}

class layout {
 public:
  explicit layout(const options& o) : name_{o.stream} {}

  const std::string& events() const noexcept { return name_; }
  std::string results() const { return name_ + "_results"; }
  std::string dead() const { return name_ + "_dead"; }
  std::string endpoints() const { return name_ + "_endpoints"; }

  std::string event(std::string_view key, std::string_view id) const {
    return name_ + ".event." + word_of(key) + "." + word_of(id);
  }
  std::string events_of_key(std::string_view key) const { return name_ + ".event." + word_of(key) + ".*"; }
  std::string event_by_id(std::string_view id) const { return name_ + ".event.*." + word_of(id); }
  std::string result(std::string_view id) const { return name_ + ".result." + word_of(id); }
  std::string letter(std::string_view id) const { return name_ + ".dead." + word_of(id); }
  std::string endpoint(std::string_view name) const { return name_ + ".endpoint." + word_of(name); }

  request last_of(const std::string& stream, const std::string& subject) const {
    return {"$JS.API.DIRECT.GET." + stream, R"({"last_by_subj":")" + subject + "\"}"};
  }
  request first_of(const std::string& stream, const std::string& subject, std::uint64_t from = 1) const {
    return {"$JS.API.DIRECT.GET." + stream,
            R"({"seq":)" + std::to_string(from) + R"(,"next_by_subj":")" + subject + "\"}"};
  }
  // The replies are the leader's: `kept_message`.
  request last_at_leader(const std::string& stream, const std::string& subject) const {
    return {"$JS.API.STREAM.MSG.GET." + stream, R"({"last_by_subj":")" + subject + "\"}"};
  }
  request first_at_leader(const std::string& stream, const std::string& subject, std::uint64_t from) const {
    return {"$JS.API.STREAM.MSG.GET." + stream,
            R"({"seq":)" + std::to_string(from) + R"(,"next_by_subj":")" + subject + "\"}"};
  }
  request next_events() const { return {"$JS.API.CONSUMER.MSG.NEXT." + name_ + "." + consumer}; }
  request consumer_info() const { return {"$JS.API.CONSUMER.INFO." + name_ + "." + consumer}; }
  request purge(const std::string& stream, const std::string& subject) const {
    return {"$JS.API.STREAM.PURGE." + stream, R"({"filter":")" + subject + "\"}"};
  }
  request remove(const std::string& stream, std::uint64_t place) const {
    return {"$JS.API.STREAM.MSG.DELETE." + stream, R"({"seq":)" + std::to_string(place) + "}"};
  }
  request stream_info(const std::string& stream) const { return {"$JS.API.STREAM.INFO." + stream}; }

  /// The reply, the leader's, has the subjects of its messages.
  request subjects_of(const std::string& stream) const {
    return {"$JS.API.STREAM.INFO." + stream, R"({"subjects_filter":">"})"};
  }

  // All of them.
  std::string all_events() const { return name_ + ".event.>"; }
  std::string all_results() const { return name_ + ".result.>"; }
  std::string all_letters() const { return name_ + ".dead.>"; }

  /// Looks at the streams and the consumer, and makes those that are missing where `create`. Gives the ack wait. Throws nats_failure.
  duration prepare(connection& c, const options& o, bool create) const {
    constexpr auto limits = R"(,"retention":"limits","discard":"old","max_msgs_per_subject":1,"max_age":)";
    const std::uint64_t replicas =
        stream(c, o, create, events(), "event.*.*",
               R"(,"retention":"workqueue","discard":"new","max_msgs":)" + std::to_string(o.max_events) +
                   R"(,"duplicate_window":)" + nanoseconds(o.known));
    stream(c, o, create, results(), "result.*", limits + nanoseconds(o.results), replicas);
    stream(c, o, create, dead(), "dead.*", limits + nanoseconds(o.dead), replicas);
    stream(c, o, create, endpoints(), "endpoint.*", limits + nanoseconds(duration::zero()), replicas);
    std::string found{text_of(c.exchange(consumer_info()))};
    if (error_in(found).code == no_such_consumer && create) {
      found = text_of(c.exchange(
          {"$JS.API.CONSUMER.DURABLE.CREATE." + name_ + "." + consumer,
           R"({"stream_name":")" + name_ + R"(","config":{"durable_name":")" + consumer +
               R"(","deliver_policy":"all","ack_policy":"explicit","replay_policy":"instant","max_deliver":-1,)"
               R"("max_ack_pending":-1,"max_waiting":512,"ack_wait":)" +
               nanoseconds(o.lease) + "}}"}));
    }
    if (const api_error e = error_in(found); e.code != 0) refuse(name_, e);
    const duration ack_wait = std::chrono::nanoseconds{number(found, "ack_wait").value_or(30'000'000'000)};
    if (ack_wait < o.lease) {
      const auto milliseconds = [](duration d) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + " ms";
      };
      fail(journal::error_kind::invalid, "stream " + name_ + " has leases of " + milliseconds(ack_wait) +
                                             ", less than the " + milliseconds(o.lease) +
                                             " that were asked for; ask for as much, or change the "
                                             "ack wait of its consumer (nats consumer edit)");
    }
    return ack_wait;
  }

 private:
  static constexpr const char* consumer = "workers";
  static std::string nanoseconds(duration d) { return std::to_string(std::chrono::nanoseconds{d}.count()); }

  /// Gives the replicas that it has. `replicas`: where it is made and no number is asked for.
  std::uint64_t stream(connection& c, const options& o, bool create, const std::string& stream,
                       std::string_view subjects, const std::string& config, std::uint64_t replicas = 1) const {
    std::string found{text_of(c.exchange(stream_info(stream)))};
    if (error_in(found).code == no_such_stream && create) {
      std::string wanted = R"({"name":")" + stream + R"(","description":")";
      wanted.append(format_name).append(std::to_string(format_version)).append(R"(","subjects":[")");
      wanted.append(name_).append(".").append(subjects).append(
          R"("],"storage":"file","allow_direct":true,"num_replicas":)");
      wanted.append(o.replicas > 0 ? std::to_string(o.replicas) : std::to_string(replicas)).append(config).append("}");
      found = text_of(c.exchange({"$JS.API.STREAM.CREATE." + stream, wanted}));
      if (error_in(found).code == stream_exists)  // another program was faster
        found = text_of(c.exchange(stream_info(stream)));
    }
    const api_error e = error_in(found);
    if (e.code == no_such_stream && stream == endpoints()) return 0;  // an older program has made the others
    if (e.code != 0) refuse(stream, e);
    return checked(stream, found, o);
  }
  static std::uint64_t checked(const std::string& stream, std::string_view found, const options& o) {
    using journal::error_kind;
    const std::string form = text(found, "description");
    if (!form.starts_with(format_name))
      fail(error_kind::version, "stream " + stream + " is no journal; name another one");
    const std::uint64_t version = number_of(std::string_view{form}.substr(format_name.size()));
    if (version != format_version)
      fail(error_kind::version, "the format of stream " + stream + " is " + std::to_string(version) +
                                    ", this program knows " + std::to_string(format_version) +
                                    "; use the newer program");
    const std::uint64_t replicas = number(found, "num_replicas").value_or(1);
    if (o.replicas > 0 && replicas != static_cast<std::uint64_t>(o.replicas))
      fail(error_kind::invalid, "stream " + stream + " has " + std::to_string(replicas) + " replicas and not " +
                                    std::to_string(o.replicas) +
                                    "; change it (nats stream edit), or do not ask for a number");
    return replicas;
  }
  [[noreturn]] static void refuse(const std::string& stream, const api_error& e) {
    using journal::error_kind;
    switch (e.code) {
      case needs_cluster:
      case no_peers:
        fail(error_kind::unreachable, "stream " + stream + " cannot have so many replicas now (" + e.what +
                                          "); start as many servers of the cluster, or ask for fewer");
      case not_enabled:
      case not_enabled_here:
        fail(error_kind::unreachable, "the servers run without JetStream (" + e.what + "); start them with it");
      case no_such_consumer:
        fail(error_kind::unreachable,
             "stream " + stream + " has no consumer; let a program that delivers open it once");
      default: fail(stream, e);
    }
  }

  std::string name_;
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
