// SPDX-License-Identifier: MIT
/// \file
/// The numbers of a durable sink. Counted on the loop's thread, read from any.
#pragma once

#include <again/metrics/page.hpp>

#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

struct durable_numbers {
  counter appended, repeated, taken, done, dead, put_off, given_back, lost_leases, unrecorded, store_errors;
  gauge held, unreached;

  void write_to(metrics_page& page) const {
    const auto ended = [&page](std::string_view how, const counter& c) {
      page.add("again_journal_events_total", "Leases by how they ended", c, metric_label("end", how));
    };
    page.add("again_journal_appended_total", "Events stored and acknowledged", appended);
    page.add("again_journal_repeated_total", "Events acknowledged that were stored before", repeated);
    page.add("again_journal_taken_total", "Events leased from the store", taken);
    ended("done", done);
    ended("dead", dead);
    ended("put_off", put_off);
    ended("given_back", given_back);
    ended("lost_lease", lost_leases);
    ended("unrecorded", unrecorded);
    page.add("again_journal_store_errors_total", "Calls of the store that failed", store_errors);
    page.add("again_journal_held", "Events leased now", held);
    page.add("again_journal_unrecorded", "Results that wait for the store", unreached);
  }
};

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
