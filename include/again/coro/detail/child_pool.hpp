// SPDX-License-Identifier: MIT
/// \file
/// Where a scope keeps its children: blocks of up to sixteen of one type, so that a spawned task costs sixteen bytes and a
/// sixteenth of an allocation beside its frame. A block goes when its last child does.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/coro/detail/child.hpp>
#include <again/coro/detail/frame_cache.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class child_blocks {
 public:
  child_blocks(const child_blocks&) = delete;
  child_blocks& operator=(const child_blocks&) = delete;

 protected:
  struct block {
    child_blocks& owner;
    void (*end_one)(block&) noexcept;  // says what type is in it, too
    block* next = nullptr;
    block** link = nullptr;
    std::uint16_t used = 0;  // a bit for each seat
  };
  template <class A> struct block_of;
  template <class A> struct seat {
    seat() noexcept {}
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;
    ~seat() {}
    block_of<A>* home = nullptr;
    union {
      child<A> awaited;
    };
  };
  template <class A> struct block_of : block {
    static constexpr std::size_t fit = 256 / sizeof(seat<A>);
    static constexpr std::size_t count = fit < 1 ? 1 : fit > 16 ? 16 : fit;
    static constexpr std::uint16_t full = (1U << count) - 1;
    explicit block_of(child_blocks& o) noexcept : block{o, &end_last} {}
    static void end_last(block& b) noexcept {
      end(static_cast<block_of&>(b).seats[static_cast<std::size_t>(std::bit_width(b.used)) - 1]);
    }
    std::array<seat<A>, count> seats;
  };

  child_blocks() noexcept = default;
  ~child_blocks() { end_all(); }

  template <class A, class From> seat<A>& seated(From&& from) {
    block_of<A>& b = with_room<A>();
    const auto free = static_cast<std::size_t>(std::countr_one(b.used));
    seat<A>& s = b.seats[free];
    s.home = &b;
    b.used = static_cast<std::uint16_t>(b.used | 1U << free);
    if (b.used == block_of<A>::full) move(b, full_);
    ++size_;
    try {
      ::new (static_cast<void*>(address_of(s.awaited))) child<A>{A(std::forward<From>(from))};
    } catch (...) {
      leave(s);
      throw;
    }
    return s;
  }
  /// Ends the child; its seat is free then.
  template <class A> static void end(seat<A>& s) noexcept {
    s.awaited.~child<A>();
    s.home->owner.leave(s);
  }
  void end_all() noexcept {
    while (block* const b = full_ != nullptr ? full_ : open_) b->end_one(*b);
  }

  std::size_t size_ = 0;

 private:
  static constexpr int looked_at = 8;  // blocks with room; a scope that spawns more types than that takes more memory

  template <class A> block_of<A>& with_room() {
    int seen = 0;
    for (block* b = open_; b != nullptr && seen < looked_at; b = b->next, ++seen) {
      if (b->end_one == &block_of<A>::end_last) return static_cast<block_of<A>&>(*b);
    }
    block_of<A>* const b = ::new (frame_cache::allocate(sizeof(block_of<A>))) block_of<A>{*this};
    hook(*b, open_);
    return *b;
  }
  template <class A> void leave(seat<A>& s) noexcept {
    block_of<A>& b = *s.home;
    if (b.used == block_of<A>::full) move(b, open_);
    b.used = static_cast<std::uint16_t>(b.used & ~(1U << (&s - b.seats.data())));
    --size_;
    if (b.used != 0) return;
    unhook(b);
    b.~block_of<A>();
    frame_cache::deallocate(&b, sizeof(b));
  }

  static void hook(block& b, block*& list) noexcept {
    b.next = list;
    b.link = &list;
    if (list != nullptr) list->link = &b.next;
    list = &b;
  }
  static void unhook(block& b) noexcept {
    *b.link = b.next;
    if (b.next != nullptr) b.next->link = b.link;
  }
  static void move(block& b, block*& to) noexcept {
    unhook(b);
    hook(b, to);
  }

  block* open_ = nullptr;  // those with room, newest first
  block* full_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
