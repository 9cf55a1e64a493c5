#include "core/registry/settings_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace pouch::registry {
namespace {

std::string error_of(std::string_view json) {
  const auto settings = parse_settings(json);
  return settings.is_ok() ? "" : settings.status().message();
}

TEST(SettingsFile, AllKeys) {
  const auto settings = parse_settings(
      R"({"registry-mirrors": ["https://a.example"], "mirrors": {"ghcr.io": ["http://b.example:5000/x"],
          "https://index.docker.io/v1/": ["https://c.example"]}, "insecure-registries": ["r:5000", "10.0.0.0/8"],
          "certs-dirs": ["/c"], "http-proxy": "http://p:1", "https-proxy": "", "no-proxy": "example.com"})");
  ASSERT_TRUE(settings.is_ok()) << settings.status().message();
  using List = std::vector<std::string>;
  EXPECT_EQ(settings->mirrors.at("ghcr.io"), List{"http://b.example:5000/x"});
  EXPECT_EQ(settings->mirrors.at("docker.io").size(), 2U);
  EXPECT_EQ(settings->insecure, (List{"r:5000", "10.0.0.0/8"}));
  EXPECT_EQ(settings->certs_dirs, List{"/c"});
  EXPECT_EQ(settings->http_proxy, "http://p:1");
  EXPECT_EQ(settings->https_proxy, "");
  EXPECT_EQ(settings->no_proxy, "example.com");
}

TEST(SettingsFile, NothingIsTheDefaults) {
  for (const char* const text : {"", " \n", "{}"}) {
    const auto settings = parse_settings(text);
    ASSERT_TRUE(settings.is_ok()) << settings.status().message();
    EXPECT_EQ(settings->certs_dirs, Settings().certs_dirs);
    EXPECT_FALSE(settings->http_proxy);
  }
}

TEST(SettingsFile, WhatIsWrongIsNamed) {
  EXPECT_EQ(error_of("[]"), "it is not an object");
  EXPECT_EQ(error_of(R"({"mirror": []})"), "unknown key \"mirror\"");
  EXPECT_EQ(error_of(R"({"registry-mirrors": "x"})"), "registry-mirrors: expected a list of strings");
  EXPECT_EQ(error_of(R"({"mirrors": {"a": [1]}})"), "mirrors.a: expected a list of strings");
  EXPECT_EQ(error_of(R"({"no-proxy": []})"), "no-proxy: expected a string");
  EXPECT_EQ(error_of(R"({"mirrors": {"a.example": ["ftp://u:secret@b"]}})").find("secret"),
            std::string::npos);
  EXPECT_EQ(error_of(R"({"registry-mirrors": ["ftp://b"]})"),
            "mirror \"ftp://b\": it is no http or https URL");
  for (const char* const entry : {"http://r.example", "10.0.0.0/99", "a/b", ""}) {
    EXPECT_NE(error_of(R"({"insecure-registries": [")" + std::string(entry) + "\"]}"), "") << entry;
  }
}

TEST(SettingsFile, AFileIsNamedAndMayBeMissing) {
  EXPECT_TRUE(load_settings("/nosuch/registries.json").is_ok());
  std::string path = "/tmp/registries-XXXXXX";
  ASSERT_EQ(::close(::mkstemp(path.data())), 0);
  std::ofstream(path) << "{";
  const std::string message = load_settings(path).status().message();
  EXPECT_NE(message.find("registries file \"" + path + "\": "), std::string::npos) << message;
  ::unlink(path.c_str());
}

TEST(SettingsFile, MoreIsAddedBehind) {
  Settings settings = *parse_settings(R"({"registry-mirrors": ["https://a"], "insecure-registries": ["x"]})");
  ASSERT_TRUE(add_settings(settings, {"https://b"}, {"y:1"}).is_ok());
  EXPECT_EQ(settings.mirrors.at("docker.io"), (std::vector<std::string>{"https://a", "https://b"}));
  EXPECT_EQ(settings.insecure, (std::vector<std::string>{"x", "y:1"}));
  EXPECT_FALSE(add_settings(settings, {"b"}, {}).is_ok());
}

}  // namespace
}  // namespace pouch::registry
