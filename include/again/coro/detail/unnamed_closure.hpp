// SPDX-License-Identifier: MIT
/// \file
/// A warning for what g++ 12 compiles wrongly: it destroys twice what a lambda owns (a string, a shared pointer, …) that is
/// written inside a `co_await` expression.
///
/// ```cpp
/// co_await again::retry(polite, [body] { return send(*body); });   // warning: 'again: g++ 12 destroys …'
/// auto op = [body] { return send(*body); };
/// co_await again::retry(polite, op);                               // right
/// ```
///
/// A combinator keeps what it is given as `stored_t`. For such a lambda that came as an rvalue, that is a class derived from it,
/// `unnamed_closure`: it shows in the type of all that holds it, and `task` warns where it awaits an rvalue of such a type.
/// An operation that has a name when it is awaited is right, whatever it holds.
///
/// The warning cannot tell a lambda in the expression from `std::move(op)`, nor from one that a function has put into the
/// operation that it returns, which are right: pass `op`, or name the operation. Other coroutine types do not warn. Defining
/// `AGAIN_NO_GCC12_WARNING` before the first include of the library switches the warning off; then, and on other compilers,
/// `stored_t` is `std::decay_t`.
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// A copy of an operation that has a name, and so is right whatever it holds.
template <class T> struct copy_of_named : T {
  copy_of_named(const T& named) : T(named) {}
};

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13 && !defined(AGAIN_NO_GCC12_WARNING)

inline constexpr bool warns_of_unnamed_closures = true;

// Is T's name that of a lambda? "… [with T = f()::<lambda(int)>]": the parameters of the last lambda in it reach to the end.
template <class T> consteval bool is_closure() noexcept {
  constexpr const char* text = __PRETTY_FUNCTION__;
  constexpr const char* word = "<lambda(";
  std::size_t end = 0;
  while (text[end] != '\0') ++end;
  for (std::size_t from = end; from-- > 0;) {
    std::size_t same = 0;
    while (word[same] != '\0' && text[from + same] == word[same]) ++same;
    if (word[same] != '\0') continue;
    int open = 1;
    std::size_t at = from + same;
    for (; at < end && open != 0; ++at) open += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
    return text[at] == '>' && text[at + 1] == ']';
  }
  return false;
}

template <class F> struct unnamed_closure : F {
  unnamed_closure(F&& closure) noexcept(std::is_nothrow_move_constructible_v<F>) : F(std::move(closure)) {}
};

template <class T> consteval bool destroyed_twice() noexcept {
  if constexpr (!std::is_class_v<T> || std::is_trivially_destructible_v<T> || std::is_final_v<T>) {
    return false;  // a reference names something
  } else {
    return !std::is_move_assignable_v<T> && is_closure<T>();
  }
}
template <class T> inline constexpr bool holds_unnamed_closure = false;
template <class F> inline constexpr bool holds_unnamed_closure<unnamed_closure<F>> = true;
template <class T> inline constexpr bool holds_unnamed_closure<copy_of_named<T>> = false;
template <template <class...> class Holder, class... T>
inline constexpr bool holds_unnamed_closure<Holder<T...>> = (holds_unnamed_closure<T> || ...);

enum class placing : unsigned char;  // of a retry
template <template <class, class, placing> class Holder, class A, class B, placing Placing>
inline constexpr bool holds_unnamed_closure<Holder<A, B, Placing>> =
    holds_unnamed_closure<A> || holds_unnamed_closure<B>;
template <template <class, class, class, class, bool> class Holder, class A, class B, class C, class D, bool Flag>
inline constexpr bool holds_unnamed_closure<Holder<A, B, C, D, Flag>> =
    holds_unnamed_closure<A> || holds_unnamed_closure<B> || holds_unnamed_closure<C> || holds_unnamed_closure<D>;

template <class T> struct stored {
  using type = std::conditional_t<destroyed_twice<T>(), unnamed_closure<std::decay_t<T>>, std::decay_t<T>>;
};
template <class T> struct stored<T&> {
  using type = std::conditional_t<holds_unnamed_closure<std::remove_cv_t<T>>, copy_of_named<std::remove_cv_t<T>>,
                                  std::decay_t<T&>>;
};
template <class T> using stored_t = typename stored<T>::type;

#else

inline constexpr bool warns_of_unnamed_closures = false;
template <class T> using stored_t = std::decay_t<T>;
template <class T> inline constexpr bool holds_unnamed_closure = false;

#endif

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
