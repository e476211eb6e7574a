// SPDX-License-Identifier: MIT
/// \file
/// `retry_run`: one run of a retry, as a startable. It is the typed side: it holds the attempt, its result and the last
/// real error, in the frame of the awaiting coroutine. The loop is in `retry_machine`, which calls the functions of the
/// `attempt_port`.
///
/// One thread: the scheduler's.
#pragma once

#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/addressof.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/policy/failure.hpp>
#include <again/retry/detail/hooks.hpp>
#include <again/retry/detail/machine.hpp>

#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Op, class Hooks> class retry_run {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using final_error = merged_error_t<error>;
  using result_type = expected<value, failure<final_error>>;
  using parts_type = retry_parts<Op, Hooks>;

  explicit retry_run(parts_type& parts) noexcept : parts_{parts} {}
  retry_run(const retry_run&) = delete;
  retry_run& operator=(const retry_run&) = delete;
  ~retry_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<retry_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return start_at(k, ctx, never); }
  /// Like `start`, for a combinator that has just read the time. `ctx.deadline` is later than `now`.
  bool start_at(continuation k, const context& ctx, time_point now) noexcept {
    return retry_machine::start(machine_, parts_, port, this, k, ctx, now);
  }

  std::exception_ptr exception() noexcept { return machine_->exception(); }

  result_type take() {
    if (!machine_->succeeded()) [[unlikely]]
      return take_failure();
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  [[gnu::noinline]] result_type take_failure() {
    failure<final_error> f{std::in_place};
    machine_->fill_report(f.details());
    if (unkept_) keep_error();
    if constexpr (std::is_trivially_copyable_v<final_error>) {
      f.details().error = last_;
    } else if (last_) {
      f.details().error.emplace(*std::move(last_));
    }
    return result_type(unexpect, std::move(f));
  }

  // ── the port ──

  static attempt_status run_attempt(void* run, const context& ctx, attempt_end& end) noexcept {
    retry_run& self = *static_cast<retry_run*>(run);
    if constexpr (Hooks::guarded) {
      if (!self.guards_.admit(self.machine_->now(), self.machine_->outer().repeated)) {
        end.ask_at = self.guards_.ask_at();
        end.count = self.guards_.refusals();
        return attempt_status::refused;
      }
    }
    if (!self.clear_attempt()) return attempt_status::threw;
    return self.start_attempt(ctx) ? inspect(run, end) : attempt_status::running;
  }

  static attempt_status inspect(void* run, attempt_end& end) noexcept {
    retry_run& self = *static_cast<retry_run*>(run);
    try {
      attempt_result* const r = self.result_ = self.attempt_.inspect();
      if (r == nullptr) [[unlikely]]
        return self.machine_->threw(self.attempt_.exception());
      if (r->has_value()) {
        if constexpr (Hooks::observes || Hooks::guarded) self.succeeded();
        return attempt_status::value;
      }
      const verdict& v =
          *::new (static_cast<void*>(address_of(end.verdict))) verdict(self.parts_.hooks.classify(r->error()));
      self.unkept_ = true;
      self.cut_short_ = v.kind == disposition::aborted;
      if constexpr (merged_error<error>::nested) {
        end.count = r->error().attempts();
        end.reason = r->error().reason();
        end.inner = &r->error().trace();
      }
      return attempt_status::error;
    } catch (...) {  // from a predicate, an observer, or a move of the user's types
      return self.machine_->threw(std::current_exception());
    }
  }

  bool start_attempt(const context& ctx) noexcept {
    const continuation k{&retry_machine::attempt_done, &*machine_};
    if constexpr (view::starts_at) {
      // Only for the first attempt: before a further one, observers and destructors have run since the time was read.
      if (machine_->first_and_timed()) return attempt_.start_at(parts_.op, k, ctx, machine_->now());
    }
    return attempt_.start(parts_.op, k, ctx);
  }
  // Destroys the previous attempt; its error is kept. False: moving the error threw.
  bool clear_attempt() noexcept {
    if (unkept_) {
      try {
        keep_error();
      } catch (...) {
        machine_->threw(std::current_exception());
        return false;
      }
    }
    attempt_.reset();
    return true;
  }
  // Makes the attempt's error the last real one: before the next attempt, or at the end.
  void keep_error() {
    unkept_ = false;
    detail::keep_error(last_, result_->error(), cut_short_);
  }

  void succeeded() {
    if constexpr (Hooks::observes) machine_->read_clock();
    if constexpr (Hooks::guarded) {
      guards_.succeeded([this] { return Hooks::observes ? machine_->now() : machine_->outer().scheduler->now(); });
    }
    if constexpr (Hooks::observes) {
      attempt_record r = attempt_record::succeeded(machine_->attempt());
      if constexpr (!std::is_void_v<value>) r.code = code_of(**result_);
      machine_->add_times(r);
      parts_.hooks.observe(r);
    }
  }

  static constexpr attempt_port make_port() noexcept {
    attempt_port p{.run_attempt = &run_attempt,
                   .inspect = &inspect,
                   .observe = nullptr,
                   .charge_guards = nullptr,
                   .refund_guards = nullptr,
                   .timed = Hooks::observes || Hooks::guarded,
                   .nested = merged_error<error>::nested};
    if constexpr (Hooks::observes) {
      p.observe = [](void* run, const attempt_record& r) { static_cast<retry_run*>(run)->parts_.hooks.observe(r); };
    }
    if constexpr (Hooks::guarded) {
      p.charge_guards = [](void* run, const verdict& v, bool timed_out, bool again) noexcept {
        retry_run& self = *static_cast<retry_run*>(run);
        return self.guards_.failed(self.machine_->now(), v, timed_out, again);
      };
      p.refund_guards = [](void* run) noexcept { static_cast<retry_run*>(run)->guards_.end(); };
    }
    return p;
  }
  static const attempt_port port;

  manual_optional<retry_machine> machine_;  // made by `start`
  parts_type& parts_;
  attempt_result* result_ = nullptr;
  [[no_unique_address]] typename Hooks::guards::call guards_{parts_.hooks.shared()};
  bool unkept_ = false;              // the finished attempt holds an error that `last_` does not
  bool cut_short_ = false;           // that error was caused by a stop request
  std::optional<final_error> last_;  // the last real error of the attempts before the finished one
  view attempt_;
};

template <class Op, class Hooks> constexpr attempt_port retry_run<Op, Hooks>::port = retry_run<Op, Hooks>::make_port();

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
