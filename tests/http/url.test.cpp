// SPDX-License-Identifier: MIT
#include <again/http/url.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace again::http;

namespace {

std::string refusal(std::string_view text) {
  const auto u = parse_url(text);
  return u ? "accepted as " + u->text() : u.error().text();
}

}  // namespace

TEST_CASE("a URL is its origin and its target, byte for byte") {
  const auto u = parse_url("http://Example.COM:8080/a/b;c=1%20d?q=x&y=[1]|{2}");
  REQUIRE(u);
  CHECK(u->origin == origin{scheme::http, "example.com", 8080});
  CHECK(u->target == "/a/b;c=1%20d?q=x&y=[1]|{2}");
  CHECK(u->path() == "/a/b;c=1%20d");
  CHECK(u->query() == "q=x&y=[1]|{2}");
  CHECK(u->text() == "http://example.com:8080/a/b;c=1%20d?q=x&y=[1]|{2}");
}

TEST_CASE("scheme, host and port have one normal form, and equal origins are equal") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"http://h", "http://h/"},
      {"HTTPS://H", "https://h/"},
      {"http://h:80", "http://h/"},
      {"https://h:443/x", "https://h/x"},
      {"https://h:80/x", "https://h:80/x"},
      {"http://h:/x", "http://h/x"},
      {"http://h:65535", "http://h:65535/"},
      {"http://h:00080", "http://h/"},
      {"http://h?x=1", "http://h/?x=1"},
      {"http://h/?", "http://h/?"},
      {"http://h/#frag?x", "http://h/"},
      {"http://h#frag", "http://h/"},
      {"http://127.0.0.1:8080/", "http://127.0.0.1:8080/"},
      {"http://[::1]:8080/", "http://[::1]:8080/"},
      {"http://[2001:DB8:0:0:1:0:0:1]", "http://[2001:db8::1:0:0:1]/"},
      {"http://[0:0:0:0:0:0:0:0]", "http://[::]/"},
      {"http://[1:2:3:4:5:6:7::]", "http://[1:2:3:4:5:6:7:0]/"},
      {"http://[::ffff:192.0.2.1]", "http://[::ffff:192.0.2.1]/"},
      {"http://[::FFFF:7f00:1]", "http://[::ffff:127.0.0.1]/"},
      {"http://[1::ffff:192.0.2.1]", "http://[1::ffff:c000:201]/"},
      {"http://[::ffff:0:192.0.2.1]", "http://[::ffff:0:c000:201]/"},
      {"http://[fe80::1:0]", "http://[fe80::1:0]/"},
      {"http://a_b.example.", "http://a_b.example./"},
      {"http://xn--bcher-kva.example", "http://xn--bcher-kva.example/"},
      {"http://1.2.3.4.example", "http://1.2.3.4.example/"},
      {"http://h/a@b:c", "http://h/a@b:c"},
  };
  for (const auto& [given, normal] : table) {
    CAPTURE(given);
    const auto u = parse_url(given);
    REQUIRE(u);
    CHECK(u->text() == normal);
    const auto twice = parse_url(normal);
    REQUIRE(twice);
    CHECK(*twice == *u);
  }
}

TEST_CASE("an IPv6 host is bare in the origin and bracketed in the authority") {
  const auto u = parse_url("https://[::1]:8443/");
  REQUIRE(u);
  CHECK(u->origin.ipv6());
  CHECK(u->origin.host == "::1");
  CHECK(u->origin.authority() == "[::1]:8443");
  CHECK(origin{scheme::https, "h", 443}.authority() == "h");
  CHECK(origin{scheme::https, "h", 443}.text() == "https://h");
}

TEST_CASE("a text that is no http or https URL is refused with a reason") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "a URL begins with http:// or https:// (position 0)"},
      {"h/path", "a URL begins with http:// or https:// (position 0)"},
      {"localhost:8080", "a URL begins with http:// or https:// (position 0)"},
      {"http:/h", "a URL begins with http:// or https:// (position 0)"},
      {"ftp://h/", "only http:// and https:// are supported (position 0)"},
      {"http://", "the URL has no host (position 7)"},
      {"http:///path", "the URL has no host (position 7)"},
      {"http://:80/", "the URL has no host (position 7)"},
      {"http://user:secret@h/",
       "user-info in a URL is not sent; put credentials into an Authorization header (position 7)"},
      {"http://h:0/", "the port is not a number from 1 to 65535 (position 9)"},
      {"http://h:65536/", "the port is not a number from 1 to 65535 (position 9)"},
      {"http://h:99999999999999999999/", "the port is not a number from 1 to 65535 (position 9)"},
      {"http://h:-1/", "the port is not a number from 1 to 65535 (position 9)"},
      {"http://h:8o/", "the port is not a number from 1 to 65535 (position 9)"},
      {"http://::1/", "more than one ':' in the host; an IPv6 address stands in '[' and ']' (position 7)"},
      {"http://[::1/", "'[' without ']' in the host (position 7)"},
      {"http://[::1]x/", "only a port may follow ']', not 'x' (position 12)"},
      {"http://[fe80::1%25eth0]/", "an IPv6 zone id is not supported (position 15)"},
      {"http://[::1::]/", "not an IPv6 address between '[' and ']' (position 8)"},
      {"http://[]/", "not an IPv6 address between '[' and ']' (position 8)"},
      {"http://256.0.0.1/", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://127.1/", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://2130706433/", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://0x7f000001/", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://010.0.0.1/", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://1.2.3.4./", "the host is neither a name nor four numbers from 0 to 255 (position 7)"},
      {"http://a..b/", "the host name has an empty label (position 9)"},
      {"http://.b/", "the host name has an empty label (position 7)"},
      {"http://a%2eb/", "the host name contains '%' (position 8)"},
      {"http://a\\b/", "the host name contains '\\' (position 8)"},
      {"http://h/a b", "the URL contains a space (position 10)"},
      {"http://h/a\r\nEvil: 1", "the URL contains CR (position 10)"},
      {"http://h/a\nb", "the URL contains LF (position 10)"},
      {"http://h\t/", "the host contains a tab (position 8)"},
      {"http://h /", "the host contains a space (position 8)"},
      {"http://h/#a b", "the URL contains a space (position 11)"},
      {"http://h/\x7f", "the URL contains byte 0x7F (position 9)"},
      {"http://h/\xc3\xa9", "the URL contains byte 0xC3; write it as percent-encoded UTF-8 (position 9)"},
      {"http://b\xc3\xbc"
       "cher/",
       "the host contains byte 0xC3; write the name in its ASCII form, xn--... (position 8)"},
      {"http://h/%", "the URL contains '%' without two hex digits after it (position 9)"},
      {"http://h/%2", "the URL contains '%' without two hex digits after it (position 9)"},
      {"http://h/?x=%zz", "the URL contains '%' without two hex digits after it (position 12)"},
      {"http://h/<b>", "the URL contains '<', which must be percent-encoded (position 9)"},
      {"http://h/a\\b", "the URL contains '\\', which must be percent-encoded (position 10)"},
      {"http://h/{id}", "the URL contains '{', which must be percent-encoded (position 9)"},
  };
  for (const auto& [given, reason] : table) {
    CAPTURE(given);
    CHECK(refusal(given) == reason);
  }
  CHECK(refusal(std::string_view{"http://h/a\0b", 12}) == "the URL contains NUL (position 10)");
  CHECK(refusal("http://user:secret@h/").find("secret") == std::string::npos);
  CHECK(refusal("http://" + std::string(64, 'a') + "/").find("longer than 63") != std::string::npos);
  std::string name;
  while (name.size() < 254) name += "abcdefg.";
  CHECK(refusal("http://" + name + "x/").find("longer than 253") != std::string::npos);
}

TEST_CASE("addresses are read exactly") {
  for (const std::string good : {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "::2:3:4:5:6:7:8",
                                 "1:2:3:4:5:6:7::", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "aBcD::"}) {
    CAPTURE(good);
    CHECK(detail::parse_ipv6(good));
  }
  for (const std::string bad : {"", ":", ":::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
                                "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.256",
                                "1.2.3.4::", "1:2:3:4:5:6:7:8::", "::1:", "::1 "}) {
    CAPTURE(bad);
    CHECK_FALSE(detail::parse_ipv6(bad));
  }
  CHECK(detail::is_ipv4("0.0.0.0"));
  CHECK(detail::is_ipv4("255.255.255.255"));
  for (const std::string bad : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.", ".1.2.3", "1..2.3",
                                "1.2.3.4.", "1.2.3.4 ", "a.b.c.d"}) {
    CAPTURE(bad);
    CHECK_FALSE(detail::is_ipv4(bad));
  }
}

TEST_CASE("an origin has no path, query or fragment") {
  CHECK(*parse_origin("http://h:8080") == origin{scheme::http, "h", 8080});
  CHECK(*parse_origin("https://h/") == origin{scheme::https, "h", 443});
  for (const std::string bad : {"http://h/x", "http://h?x", "http://h/?", "http://h#x"}) {
    CAPTURE(bad);
    const auto o = parse_origin(bad);
    REQUIRE_FALSE(o);
    CHECK(o.error().reason().find("only scheme, host and port here") == 0);
  }
}

TEST_CASE("a target is an origin-form") {
  CHECK_FALSE(validate_target("/"));
  CHECK_FALSE(validate_target("//double//slashes/"));
  CHECK_FALSE(validate_target("/a?b=?/:@!$&'()*+,;=~"));
  REQUIRE(validate_target(""));
  CHECK(validate_target("a")->text() == "the target must begin with '/' (position 0)");
  CHECK(validate_target("http://h/")->position() == 0);
  CHECK(validate_target("*"));
  CHECK(validate_target("/a#b")->text() == "the target contains '#': a fragment is never sent (position 2)");
  CHECK(validate_target("/a HTTP/1.1\r\nHost: evil")->text() == "the target contains a space (position 2)");
}

TEST_CASE("references resolve as in RFC 3986 5.4, where the scheme allows it") {
  const url base = *parse_url("http://a/b/c/d;p?q");
  const std::vector<std::pair<std::string, std::string>> table{
      // 5.4.1, normal
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g/"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q"},
      {"g#s", "http://a/b/c/g"},
      {"g?y#s", "http://a/b/c/g?y"},
      {";x", "http://a/b/c/;x"},
      {"g;x", "http://a/b/c/g;x"},
      {"g;x?y#s", "http://a/b/c/g;x?y"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../", "http://a/"},
      {"../../g", "http://a/g"},
      // 5.4.2, abnormal
      {"../../../g", "http://a/g"},
      {"../../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {".g", "http://a/b/c/.g"},
      {"g..", "http://a/b/c/g.."},
      {"..g", "http://a/b/c/..g"},
      {"./../g", "http://a/b/g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/./h", "http://a/b/c/g/h"},
      {"g/../h", "http://a/b/c/h"},
      {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
      {"g;x=1/../y", "http://a/b/c/y"},
      {"g?y/./x", "http://a/b/c/g?y/./x"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      // ours
      {"https://Other:8443/x/../y?z", "https://other:8443/y?z"},
      {"//h:81/x", "http://h:81/x"},
      {"/x?u=http://z/", "http://a/x?u=http://z/"},
      {"?u=a:b", "http://a/b/c/d;p?u=a:b"},
      {"/a//b/../c", "http://a/a//c"},
  };
  for (const auto& [reference, target] : table) {
    CAPTURE(reference);
    const auto u = resolve_reference(base, reference);
    REQUIRE(u);
    CHECK(u->text() == target);
  }
}

TEST_CASE("a reference to another scheme, and a text that is no reference, is refused") {
  const url base = *parse_url("https://a/b");
  for (const std::string bad :
       {"ftp://h/", "javascript:alert(1)", "mailto:x@y", "g:h", "http:g", "http://", "http://u:p@h/", "//", "/a b",
        "/a\r\nX: 1", "/caf\xc3\xa9", "/%", "/<", "http://h:99999/"}) {
    CAPTURE(bad);
    CHECK_FALSE(resolve_reference(base, bad));
  }
}
