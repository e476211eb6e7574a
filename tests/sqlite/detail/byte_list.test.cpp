// SPDX-License-Identifier: MIT
#include <again/sqlite/detail/byte_list.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace again;
using namespace again::sqlite::detail;

TEST_CASE("a list of strings with any bytes comes back as it was") {
  for (const std::vector<std::string>& all :
       {std::vector<std::string>{}, {""}, {"a"}, {"", std::string{"\0\xff", 2}, std::string(300, 'x')}}) {
    std::vector<std::string> back;
    CHECK(unpack(packed(all), back));
    CHECK(back == all);
  }
  const http::headers fields{{"A", "1"}, {"a", ""}, {"B", "x y"}};
  http::headers back;
  CHECK(unpack(packed(fields), back));
  CHECK(back == fields);
}

TEST_CASE("bytes that are no such list are refused, wherever they were cut") {
  const std::string whole = packed(http::headers{{"Name", "value"}, {"B", "2"}});
  for (std::size_t n = 1; n < whole.size(); ++n) {
    if (n == 17) continue;  // behind the first field
    http::headers fields;
    CHECK(!unpack(whole.substr(0, n), fields));
  }
  std::vector<std::string> names;
  CHECK(!unpack(std::string{"\xff\xff\xff\xff"
                            "abc"},
                names));
}
