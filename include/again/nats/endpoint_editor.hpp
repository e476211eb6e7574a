// SPDX-License-Identifier: MIT
/// \file
/// `nats::endpoint_editor`: pauses, resumes and disables endpoints of a journal on JetStream by hand, also while workers deliver what is in it.
///
/// ```cpp
/// auto opened = again::nats::endpoint_editor::open(*again::nats::parse_place("nats://n1,n2,n3/ORDERS"));
/// if (!opened) return complain(opened.error().text);
/// auto changed = opened->set("audit", again::endpoint_state::paused, now);
/// ```
///
/// - Every worker sees the change at its next `durable_options::poll`. Without one it counts from the next start on.
/// - A journal knows the endpoints of the sinks that have run over it.
/// - Errors: results are `expected<…, journal::error>`: those of `store::open`, and `invalid` with a sentence where there is no such endpoint.
///   A stream that is missing is not made.
/// - Thread: one at a time. Calls block.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/endpoint_messages.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/options.hpp>
#include <again/sink/endpoint_state.hpp>

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {

class endpoint_editor {
 public:
  template <class T> using result = expected<T, journal::error>;

  /// Connects to a journal that exists.
  static result<endpoint_editor> open(const options& o) {
    return guarded<endpoint_editor>([&] {
      endpoint_editor e{std::make_unique<inside>(o)};
      e.inside_->over.connect();
      static_cast<void>(e.inside_->names.prepare(e.inside_->over, e.inside_->settings, false));
      return e;
    });
  }

  result<std::vector<journal::endpoint_record>> endpoints() const {
    return guarded<std::vector<journal::endpoint_record>>([&] { return read(); });
  }
  /// `to`: paused, disabled, or available: resumed.
  result<void> set(std::string_view name, endpoint_state to, wall_time now) {
    return guarded<void>([&] {
      for (int tries = 0; tries < most_tries; ++tries) {
        std::vector<journal::endpoint_record> all = read();
        const auto r = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.status.name == name; });
        if (r == all.end())
          detail::fail(journal::error_kind::invalid,
                       "stream " + inside_->names.endpoints() + ": no endpoint is called " + std::string{name});
        if (detail::put_endpoint(inside_->over, inside_->names, journal::by_hand(std::move(*r), to, now)) != 0) return;
      }
      detail::fail(journal::error_kind::io, "workers change endpoint " + std::string{name} +
                                                " all the time; change it again, and see their logs");
    });
  }

 private:
  /// A worker writes a record at a change of state alone.
  static constexpr int most_tries = 100;

  struct inside {
    explicit inside(const options& o) : settings{o}, names{settings}, over{settings} {
      settings.lease = duration::zero();  // it takes nothing
    }
    options settings;
    const detail::layout names;
    detail::connection over;
  };
  explicit endpoint_editor(std::unique_ptr<inside> i) noexcept : inside_{std::move(i)} {}

  std::vector<journal::endpoint_record> read() const { return detail::read_endpoints(inside_->over, inside_->names); }
  template <class T, class Body> static result<T> guarded(Body body) {
    try {
      if constexpr (std::is_void_v<T>) {
        body();
        return {};
      } else {
        return body();
      }
    } catch (const detail::nats_failure& f) {
      return unexpected<journal::error>{f.why};
    } catch (const std::bad_alloc&) {
      return unexpected<journal::error>{journal::error{journal::error_kind::shortage}};
    }
  }

  std::unique_ptr<inside> inside_;
};

}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
