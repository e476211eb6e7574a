// SPDX-License-Identifier: MIT
/// \file
/// The children of a `scope`, in blocks of up to sixteen of one type: a spawned task costs sixteen bytes and a
/// sixteenth of an allocation, beside its frame. A block is freed when its last child ends. One thread: the
/// scheduler's.
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

class child_pool {
 public:
  child_pool(const child_pool&) = delete;
  child_pool& operator=(const child_pool&) = delete;

 protected:
  struct block {
    child_pool& owner;
    void (*end_last_child)(block&) noexcept;  // also identifies the type of its children
    block* next = nullptr;
    block** link = nullptr;
    std::uint16_t used = 0;  // a bit for each slot
  };
  template <class A> struct block_of;
  template <class A> struct slot {
    slot() noexcept {}
    slot(const slot&) = delete;
    slot& operator=(const slot&) = delete;
    ~slot() {}
    block_of<A>* home = nullptr;
    union {
      child<A> awaited;
    };
  };
  template <class A> struct block_of : block {
    static constexpr std::size_t fit = 256 / sizeof(slot<A>);
    static constexpr std::size_t count = fit < 1 ? 1 : fit > 16 ? 16 : fit;
    static constexpr std::uint16_t full = (1U << count) - 1;
    explicit block_of(child_pool& o) noexcept : block{o, &end_last_child_of} {}
    static void end_last_child_of(block& b) noexcept {
      end(static_cast<block_of&>(b).slots[static_cast<std::size_t>(std::bit_width(b.used)) - 1]);
    }
    std::array<slot<A>, count> slots;
  };

  child_pool() noexcept = default;
  ~child_pool() { end_all(); }

  /// A new child, made from `from`.
  template <class A, class From> slot<A>& emplace(From&& from) {
    block_of<A>& b = block_with_room<A>();
    const auto n = static_cast<std::size_t>(std::countr_one(b.used));
    slot<A>& s = b.slots[n];
    s.home = &b;
    b.used = static_cast<std::uint16_t>(b.used | 1U << n);
    if (b.used == block_of<A>::full) move(b, full_);
    ++size_;
    try {
      ::new (static_cast<void*>(address_of(s.awaited))) child<A>{A(std::forward<From>(from))};
    } catch (...) {
      vacate(s);
      throw;
    }
    return s;
  }
  /// Destroys the child and frees its slot.
  template <class A> static void end(slot<A>& s) noexcept {
    s.awaited.~child<A>();
    s.home->owner.vacate(s);
  }
  void end_all() noexcept {
    while (block* const b = full_ != nullptr ? full_ : open_) b->end_last_child(*b);
  }

  std::size_t size_ = 0;

 private:
  static constexpr int blocks_searched =
      8;  // of those with room; a scope that spawns more types than that uses more memory

  template <class A> block_of<A>& block_with_room() {
    int seen = 0;
    for (block* b = open_; b != nullptr && seen < blocks_searched; b = b->next, ++seen) {
      if (b->end_last_child == &block_of<A>::end_last_child_of) return static_cast<block_of<A>&>(*b);
    }
    block_of<A>* const b = ::new (frame_cache::allocate(sizeof(block_of<A>))) block_of<A>{*this};
    link_front(*b, open_);
    return *b;
  }
  template <class A> void vacate(slot<A>& s) noexcept {
    block_of<A>& b = *s.home;
    if (b.used == block_of<A>::full) move(b, open_);
    b.used = static_cast<std::uint16_t>(b.used & ~(1U << (&s - b.slots.data())));
    --size_;
    if (b.used != 0) return;
    unlink(b);
    b.~block_of<A>();
    frame_cache::deallocate(&b, sizeof(b));
  }

  static void link_front(block& b, block*& list) noexcept {
    b.next = list;
    b.link = &list;
    if (list != nullptr) list->link = &b.next;
    list = &b;
  }
  static void unlink(block& b) noexcept {
    *b.link = b.next;
    if (b.next != nullptr) b.next->link = b.link;
  }
  static void move(block& b, block*& to) noexcept {
    unlink(b);
    link_front(b, to);
  }

  block* open_ = nullptr;  // blocks with room, newest first
  block* full_ = nullptr;  // blocks without
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
