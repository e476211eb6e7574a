// SPDX-License-Identifier: MIT
/// \file
/// `live_policy`: a policy that can be changed while calls run. Each call copies it when it is made and keeps that copy to its end.
///
/// ```cpp
/// again::live_policy polite{again::policy{.attempts = 4}};
/// auto quote = co_await again::retry(polite.now(), api.get("/quote"));    // checked when it was set, not once more
/// polite.change({.attempts = 2, .deadline = 1s});      // when a configuration file has changed, for example
/// ```
///
/// Threads: any member from any thread. A copy is never torn: all of it comes from one `change`. Cost of `now`: copying about 200
/// bytes under a sequence count, without a lock and without an allocation; readers never wait for each other.
#pragma once

#include <again/policy/policy.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {

class live_policy {
 public:
  /// Throws `std::invalid_argument` for a policy that breaks a rule (see `policy_rule`).
  explicit live_policy(const checked_policy& first) noexcept { store(first); }
  explicit live_policy(const policy& first) : live_policy{checked_policy{first}} {}
  live_policy(const live_policy&) = delete;
  live_policy& operator=(const live_policy&) = delete;
  ~live_policy() = default;

  /// The current policy.
  checked_policy now() const noexcept {
    std::array<std::uint64_t, words> copy;
    for (;;) {
      const std::uint64_t before = version_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < words; ++i) copy[i] = words_[i].load(std::memory_order_acquire);
      if ((before & 1U) == 0 && version_.load(std::memory_order_relaxed) == before) break;
    }
    static constexpr checked_policy any{policy{}};
    checked_policy p = any;
    std::memcpy(static_cast<void*>(&p), copy.data(), sizeof p);
    return p;
  }

  /// Sets the policy for calls that are made from now on. Throws `std::invalid_argument` for a policy that breaks a rule, and then
  /// changes nothing.
  void change(const checked_policy& next) {
    const std::lock_guard lock{writers_};
    version_.fetch_add(1, std::memory_order_acq_rel);  // odd: readers read again
    store(next);
    version_.fetch_add(1, std::memory_order_release);
  }
  void change(const policy& next) { change(checked_policy{next}); }

  /// How many times the policy was changed.
  std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire) / 2; }

 private:
  static_assert(std::is_trivially_copyable_v<checked_policy>);
  static constexpr std::size_t words = (sizeof(checked_policy) + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
  void store(const checked_policy& p) noexcept {
    std::array<std::uint64_t, words> copy{};
    std::memcpy(copy.data(), &p, sizeof p);
    for (std::size_t i = 0; i < words; ++i) words_[i].store(copy[i], std::memory_order_release);
  }
  std::mutex writers_;
  std::atomic<std::uint64_t> version_{0};
  std::array<std::atomic<std::uint64_t>, words> words_{};
};

}  // namespace AGAIN_ABI
}  // namespace again
