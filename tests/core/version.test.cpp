// SPDX-License-Identifier: MIT
#include <again/version.hpp>

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#if AGAIN_VERSION < 100
#error the version is a number that the preprocessor can compare
#endif

TEST_CASE("the version in the header is the one in meson.build") {
  std::ifstream build{"meson.build"};  // tests run in the source folder
  REQUIRE(build);
  const std::string major = std::to_string(AGAIN_VERSION / 10000);
  const std::string minor = std::to_string(AGAIN_VERSION / 100 % 100);
  const std::string patch = std::to_string(AGAIN_VERSION % 100);
  const std::string wanted = "version: '" + major + "." + minor + "." + patch + "'";
  bool found = false;
  for (std::string line; std::getline(build, line);) found = found || line.find(wanted) != std::string::npos;
  CHECK_MESSAGE(found, wanted);
}
