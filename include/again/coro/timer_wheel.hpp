// SPDX-License-Identifier: MIT
/// \file
/// `timer_wheel`: the timers of one scheduler: a hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical
/// timing wheels", 1987).
///
/// ```cpp
/// wheel.insert(t, when, last_wake());                                     // in `arm`
/// wheel.remove(t);                                                        // in `disarm`
/// while (again::timer* t = wheel.pop_due(last_wake())) t->fire(*t);       // the round
/// wake_me_at(wheel.next());                                               // before sleeping
/// ```
///
/// The tick is one nanosecond. So no time is rounded, and no list needs sorting: all timers in a slot of the lowest
/// level have the same time. The lists are intrusive: arming and disarming take constant time, allocate nothing and
/// cannot fail. A timer moves down at most once for each level; a timer that is alone in its slot does not move.
///
/// The level and the slot of a timer come from the highest group of six bits in which its time differs from `base_`, a
/// time no later than any in the wheel (the buckets of a radix heap; Ahuja, Mehlhorn, Orlin, Tarjan, 1990). So the
/// first timers are in the lowest slot in use on the lowest level in use; two bit scans find it. Timers of the same
/// time are always in the same list, which keeps the order of arming.
///
/// One thread: the loop's.
#pragma once

#include <again/coro/scheduler.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

class timer_wheel {
 public:
  timer_wheel() noexcept {}  // a list is initialised when it is first used
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// When to call `pop_due` again: the first timer's time, or an earlier time (if many timers are close together and
  /// far away) that is later than the last `pop_due` which found none. `never` if no timer will fire.
  [[nodiscard]] time_point next() noexcept { return earliest_ = first_time(); }

  /// `now` is the time of the last `pop_due`. A timer for an earlier time is due at `now`; such timers fire in the
  /// order of arming.
  void insert(timer& t, time_point when, time_point now) noexcept {
    if (when < now) [[unlikely]]
      when = now;
    t.when = when;
    if (size_++ == 0) {
      earliest_ = when;
      lone_ = &t;
      t.next = nullptr;
      t.link = &lone_;
      return;
    }
    if (lone_ != nullptr) {
      origin_ = lone_->when < now ? lone_->when : now;
      base_ = 0;
      insert_into_slot(*std::exchange(lone_, nullptr));
    } else if (when < time_of(base_)) [[unlikely]] {  // the clock went back
      t.when = when = time_of(base_);
    }
    if (when < earliest_) earliest_ = when;
    insert_into_slot(t);
  }

  void remove(timer& t) noexcept {
    if (!t.armed()) return;
    --size_;
    *t.link = t.next;
    if (t.next != nullptr) {
      t.next->link = t.link;
    } else if (t.link != &lone_) {
      const where w = where_is(t);
      list& l = list_at(w);
      l.tail = t.link;
      if (t.link == &l.head) vacate(w);
    }
    t.link = nullptr;
  }

  /// Takes out the first timer if it is due; else null.
  timer* pop_due(time_point now) noexcept {
    while (earliest_ <= now) {
      if (lone_ != nullptr) {
        --size_;
        lone_->link = nullptr;
        return std::exchange(lone_, nullptr);
      }
      const where w = first();
      if (w.level == endless) break;
      list& l = list_at(w);
      timer* const t = l.head;
      timer* const next = t->next;
      if (next == nullptr || w.level == 0) {
        earliest_ = t->when;
        if (earliest_ > now) break;
        --size_;
        t->link = nullptr;
        if (next == nullptr) {
          vacate(w);
        } else {
          l.head = next;
          next->link = &l.head;
        }
        return t;
      }
      const std::uint64_t start = start_of(w);
      if (time_of(start) > now) {
        earliest_ = time_of(start);
        if (now > time_of(base_)) base_ = ticks(now);  // no timer's slot changes
        break;
      }
      base_ = start;
      spread(w);
    }
    return nullptr;
  }

 private:
  static constexpr unsigned bits = 6;
  static constexpr unsigned width = 1U << bits;
  static constexpr unsigned endless = 11;  // the level of timers that never fire; the levels below cover all 64 bits
  // To move a long list down takes one cache miss for each timer, one after the other: only a timer says where the next
  // one is. So from level `stranded` on (slots of a quarter of a millisecond) a slot has four lists, by the next two
  // bits of the time. They are walked at the same time, so that the misses overlap.
  static constexpr unsigned stranded = 3;
  static constexpr unsigned strand_bits = 2;
  static constexpr unsigned strands = 1U << strand_bits;
  static constexpr int most_seen = 16;

  struct list {
    timer* head;
    timer** tail;  // points to the null pointer at the end
  };
  struct where {
    unsigned level, digit, strand;
  };

  // Ticks count from `origin_`, which is set when a second timer joins a lone one. Counted from the start of the
  // machine, waits of the same length that begin together would be on two levels whenever a round number of ticks lies
  // between their ends.
  [[nodiscard]] std::uint64_t ticks(time_point t) const noexcept {
    return static_cast<std::uint64_t>(t.time_since_epoch().count()) -
           static_cast<std::uint64_t>(origin_.time_since_epoch().count());
  }
  [[nodiscard]] time_point time_of(std::uint64_t t) const noexcept {
    return time_point{
        duration{static_cast<duration::rep>(t + static_cast<std::uint64_t>(origin_.time_since_epoch().count()))}};
  }
  [[nodiscard]] where where_is(const timer& t) const noexcept {
    if (t.when == never) return {endless, 0, 0};
    const std::uint64_t at = ticks(t.when);
    const unsigned level = (63U - static_cast<unsigned>(std::countl_zero((at ^ base_) | 1U))) / bits;
    const unsigned digit = static_cast<unsigned>(at >> (level * bits)) % width;
    if (level < stranded) return {level, digit, 0};
    return {level, digit, static_cast<unsigned>(at >> (level * bits - strand_bits)) % strands};
  }
  list& list_at(where w) noexcept {
    return w.level < stranded ? low_[w.level][w.digit] : high_[w.level - stranded][w.digit][w.strand];
  }
  // The first list in use: of the lowest slot in use on the lowest level in use.
  [[nodiscard]] where first() const noexcept {
    if (levels_ == 0) return {endless, 0, 0};
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    const auto& used = used_[level];
    const unsigned digit = static_cast<unsigned>(std::countr_zero(used[0] | used[1] | used[2] | used[3]));
    unsigned strand = 0;
    while (strand + 1 < strands && (used[strand] >> digit & 1U) == 0) ++strand;
    return {level, digit, strand};
  }
  // The first time that belongs in that slot: the digits above are those of `base_`, the ones below are zero.
  [[nodiscard]] std::uint64_t start_of(where w) const noexcept {
    const std::uint64_t below = (std::uint64_t{width} << (w.level * bits)) - 1;  // 0 - 1 on the highest: all digits
    return (base_ & ~below) | (std::uint64_t{w.digit} << (w.level * bits));
  }
  [[nodiscard]] time_point first_time() noexcept {
    if (lone_ != nullptr) return lone_->when;
    const where w = first();
    if (w.level == endless) return never;
    time_point least = never;
    int seen = 0;
    for (const timer* t = list_at(w).head; t != nullptr; t = t->next) {
      if (t->when < least) least = t->when;
      if (++seen == most_seen) return time_of(start_of(w)) > earliest_ ? time_of(start_of(w)) : earliest_;
    }
    return least;
  }

  void insert_into_slot(timer& t) noexcept {
    const where w = where_is(t);
    list& l = list_at(w);
    std::uint64_t& used = used_[w.level][w.strand];
    const std::uint64_t bit = std::uint64_t{1} << w.digit;
    if ((used & bit) == 0) {
      used |= bit;
      levels_ |= 1U << w.level;
      l.tail = &l.head;
    }
    t.next = nullptr;
    t.link = l.tail;
    *l.tail = &t;
    l.tail = &t.next;
  }
  void vacate(where w) noexcept {
    auto& used = used_[w.level];
    used[w.strand] &= ~(std::uint64_t{1} << w.digit);
    if ((used[0] | used[1] | used[2] | used[3]) == 0) levels_ &= ~(1U << w.level);
  }
  // Moves a slot's timers to lower levels, which are all empty. `base_` is the start of that slot now.
  void spread(where w) noexcept {
    std::array<timer*, strands> at{};
    for (w.strand = 0; w.strand < strands; ++w.strand) {
      if ((used_[w.level][w.strand] >> w.digit & 1U) == 0) continue;
      at[w.strand] = list_at(w).head;
      vacate(w);
    }
    for (bool more = true; more;) {
      more = false;
      for (timer*& next : at) {
        if (next == nullptr) continue;
        timer& t = *next;
        next = t.next;
        if (next != nullptr) {
          __builtin_prefetch(next);
          __builtin_prefetch(static_cast<const void*>(&next->link));  // the next cache line, often
        }
        insert_into_slot(t);
        more = true;
      }
    }
  }

  timer* lone_ = nullptr;  // a timer that was armed when there was no other; it is in no slot until there are two
  time_point origin_{};
  std::uint64_t base_ = 0;
  time_point earliest_ = never;  // no timer is earlier; a busy loop compares it in each turn
  std::size_t size_ = 0;
  std::uint32_t levels_ = 0;                                            // which levels are in use
  std::array<std::array<std::uint64_t, strands>, endless + 1> used_{};  // which lists of each
  // Only lists in use are initialised.
  std::array<std::array<list, width>, stranded> low_;
  std::array<std::array<std::array<list, strands>, width>, endless - stranded + 1> high_;
};

}  // namespace AGAIN_ABI
}  // namespace again
