// SPDX-License-Identifier: MIT
#include <again/http/special_address.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using again::http::special_purpose;

static_assert(special_purpose("127.0.0.1") && !special_purpose("8.8.8.8"));

TEST_CASE("an address that IANA keeps for a special purpose is not public, from the first of its block to the last") {
  for (const std::string_view address : {
           "0.0.0.0",
           "0.255.255.255",
           "10.0.0.0",
           "10.255.255.255",
           "100.64.0.0",
           "100.127.255.255",
           "127.0.0.1",
           "127.255.255.255",
           "169.254.0.0",
           "169.254.169.254",
           "169.254.255.255",
           "172.16.0.0",
           "172.31.255.255",
           "192.0.0.0",
           "192.0.0.255",
           "192.0.2.1",
           "192.88.99.1",
           "192.168.0.0",
           "192.168.255.255",
           "198.18.0.0",
           "198.19.255.255",
           "198.51.100.1",
           "203.0.113.1",
           "224.0.0.0",
           "239.255.255.255",
           "240.0.0.0",
           "255.255.255.254",
           "255.255.255.255",
           "::",
           "::1",
           "::2",
           "::7f00:1",
           "64:ff9b:1::1",
           "100::1",
           "100:0:0:1::1",
           "2001::1",
           "2001:1ff:ffff::",
           "2001:db8::1",
           "2002:7f00:1::1",
           "2002:808:808::1",
           "3fff::1",
           "3fff:fff:ffff::1",
           "5f00::1",
           "fc00::1",
           "fdff:ffff::1",
           "fe80::1",
           "febf::1",
           "fe80::1%eth0",
           "fec0::1",
           "ff02::1",
           "1fff::1",
           "4000::1",
       }) {
    CAPTURE(std::string{address});
    CHECK(special_purpose(address));
  }
}

TEST_CASE("an address beside the blocks is public") {
  for (const std::string_view address : {
           "1.0.0.0",       "8.8.8.8",         "9.255.255.255",  "11.0.0.0",     "100.63.255.255", "100.128.0.0",
           "126.255.255.1", "128.0.0.0",       "169.253.255.1",  "169.255.0.0",  "172.15.255.255", "172.32.0.0",
           "192.0.1.0",     "192.0.3.0",       "192.31.196.1",   "192.52.193.1", "192.88.98.1",    "192.167.255.255",
           "192.169.0.0",   "192.175.48.1",    "198.17.255.255", "198.20.0.0",   "198.51.99.1",    "203.0.112.1",
           "223.255.255.1", "2000::1",         "2001:200::1",    "2001:db7::1",  "2001:db9::1",    "2003::1",
           "2606:4700::11", "2620:4f:8000::1", "3ffe::1",        "3fff:1000::1",
       }) {
    CAPTURE(std::string{address});
    CHECK(special_purpose(address) == std::nullopt);
  }
}

TEST_CASE("an IPv4 address inside an IPv6 one counts as what it is") {
  for (const std::string prefix : {"::ffff:", "64:ff9b::"}) {
    CAPTURE(prefix);
    for (const std::string address : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "255.255.255.255"})
      CHECK(special_purpose(prefix + address) == special_purpose(address));
    CHECK(special_purpose(prefix + "8.8.8.8") == std::nullopt);
  }
  CHECK(special_purpose("::ffff:7f00:1") == "loopback, RFC 1122");
  CHECK(special_purpose("64:ff9b::a00:1") == "private use, RFC 1918");
}

TEST_CASE("a text that is no address in numbers is not public, however a resolver would read it") {
  for (const std::string_view text :
       {"", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "8.8.8", "8.8.8.8.", "08.8.8.8", "8.8.8.8/32",
        "[2606::1]", "1.2.3.4.5", "111.111.111.111.111.111.111", "::1::", ":", "%", "%eth0"}) {
    CAPTURE(std::string{text});
    CHECK(special_purpose(text) == "not an address in numbers");
  }
}
