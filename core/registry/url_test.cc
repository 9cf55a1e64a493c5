#include "core/registry/url.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/registry/proxy.h"

namespace pouch::registry {
namespace {

TEST(Url, Parts) {
  const auto url = parse_url("HTTPS://User:pass@Host.Example:5000/v2/a?x=1#part");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->str(), "https://host.example:5000/v2/a?x=1");
  EXPECT_EQ(url->name(), "host.example");
  EXPECT_EQ(url->port(), 5000);
  EXPECT_EQ(parse_url("http://[::1]:80")->name(), "::1");
  EXPECT_EQ(parse_url("http://[::1]")->port(), 80);
  EXPECT_EQ(parse_url("https://h")->port(), 443);
  EXPECT_EQ(parse_url("https://h?x")->str(), "https://h/?x");
  EXPECT_EQ(parse_url("https://good.example@evil.example/")->host, "evil.example");
}

TEST(Url, WhatIsNone) {
  for (const char* text :
       {"", "host", "ftp://h/", "https://", "https:///p", "https://h:0", "https://h:99999", "https://h:x",
        "https://h:", "https://a b/", "https://h/\n", "https://evil\\@good", "https://[::1", "https://::1/",
        "https://[]", "https://h]", "://h", "https://:80"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

TEST(Url, Locations) {
  const Url base = *parse_url("https://r.example:5000/v2/team/app/blobs/uploads/?q=1");
  const auto resolved = [&](const char* text) {
    const auto url = resolve_location(base, text);
    return url ? url->str() : "none";
  };
  EXPECT_EQ(resolved("http://cdn.example/x?y"), "http://cdn.example/x?y");
  EXPECT_EQ(resolved("/v2/x?to=http://a"), "https://r.example:5000/v2/x?to=http://a");
  EXPECT_EQ(resolved("//cdn.example/x"), "https://cdn.example/x");
  EXPECT_EQ(resolved("1234"), "https://r.example:5000/v2/team/app/blobs/uploads/1234");
  EXPECT_EQ(resolved("?s=2"), "https://r.example:5000/v2/team/app/blobs/uploads/?s=2");
  EXPECT_EQ(resolved(""), "none");
  EXPECT_EQ(resolved("file:///etc/passwd"), "none");
  EXPECT_EQ(resolve_location(*parse_url("http://h"), "x")->str(), "http://h/x");
}

TEST(Url, Origins) {
  const auto same = [](const char* a, const char* b) { return is_same_origin(*parse_url(a), *parse_url(b)); };
  EXPECT_TRUE(same("https://H/a", "https://h:443/b"));
  EXPECT_FALSE(same("https://h", "http://h"));
  EXPECT_FALSE(same("https://h:1", "https://h:2"));
  EXPECT_FALSE(same("https://h", "https://h.evil"));
}

TEST(Url, ForMessagesAndQueries) {
  EXPECT_EQ(without_account("http://me:pw@proxy:3128/x@y"), "http://xxxxx@proxy:3128/x@y");
  EXPECT_EQ(without_account("me:pw@proxy"), "xxxxx@proxy");
  EXPECT_EQ(without_account("http://proxy/x@y"), "http://proxy/x@y");
  EXPECT_EQ(with_parameter("/a", "digest", "sha256:1/2"), "/a?digest=sha256%3A1%2F2");
  EXPECT_EQ(with_parameter("/a?b", "c", "d e"), "/a?b&c=d%20e");
}

bool without(const char* url, const char* list) {
  return is_without_proxy(*parse_url(url), list);
}

TEST(Proxy, LoopbackNeverHasOne) {
  for (const char* url :
       {"http://localhost:5000", "http://127.0.0.1", "http://127.8.9.1:1", "https://[::1]:5000"})
    EXPECT_TRUE(without(url, "")) << url;
  EXPECT_FALSE(without("https://128.0.0.1", ""));
  EXPECT_FALSE(without("https://localhost.example", ""));
}

TEST(Proxy, NamesAndWhatIsBelowThem) {
  EXPECT_TRUE(without("https://r.example", "other, R.Example ,x"));
  EXPECT_TRUE(without("https://a.r.example", "r.example"));
  EXPECT_FALSE(without("https://ar.example", "r.example"));
  for (const char* below : {".r.example", "*.r.example"}) {
    EXPECT_TRUE(without("https://a.r.example:5000", below)) << below;
    EXPECT_FALSE(without("https://r.example", below)) << below;
    EXPECT_FALSE(without("https://ar.example", below)) << below;
  }
  EXPECT_TRUE(without("https://anything", "x,*"));
  EXPECT_FALSE(without("https://anything", ",, ,"));
  EXPECT_FALSE(without("https://anything", "*thing"));
}

TEST(Proxy, Ports) {
  EXPECT_TRUE(without("https://r.example", "r.example:443"));
  EXPECT_TRUE(without("http://a.r.example:5000", ".r.example:5000"));
  EXPECT_FALSE(without("https://r.example:5000", "r.example:443"));
  EXPECT_TRUE(without("https://10.0.0.1:5000", "10.0.0.1:5000"));
  EXPECT_FALSE(without("https://10.0.0.1:5001", "10.0.0.1:5000"));
  EXPECT_TRUE(without("https://[fd00::1]:5000", "[fd00::1]:5000"));
}

TEST(Proxy, AddressesAndNetworks) {
  EXPECT_TRUE(without("https://10.1.2.3:5000", "10.0.0.0/8"));
  EXPECT_FALSE(without("https://11.1.2.3", "10.0.0.0/8"));
  EXPECT_TRUE(without("https://10.1.2.3", "10.1.2.3"));
  EXPECT_FALSE(without("https://10.1.2.30", "10.1.2.3"));
  EXPECT_TRUE(without("https://[fd00::1]", "fd00::/8"));
  EXPECT_TRUE(without("https://[fd00::1]", "fd00:0::1")) << "however it is written";
  EXPECT_TRUE(without("https://[fd00::1]", "[fd00::1]"));
  EXPECT_FALSE(without("https://[fd00::2]", "fd00::1"));
  EXPECT_FALSE(without("https://10.example", "10.0.0.0/8"));
  EXPECT_FALSE(without("https://10.1.2.3", "10.0.0.0/99,broken/8"));
}

TEST(Proxy, OfTheSettingsByScheme) {
  Settings settings;
  settings.http_proxy = "http://plain:1";
  settings.https_proxy = "http://tls:2";
  settings.no_proxy = "r.example";
  EXPECT_EQ(proxy_for(settings, *parse_url("http://a.example")), "http://plain:1");
  EXPECT_EQ(proxy_for(settings, *parse_url("https://a.example")), "http://tls:2");
  EXPECT_EQ(proxy_for(settings, *parse_url("https://r.example")), "");
}

TEST(Proxy, OfTheEnvironment) {
  const Settings settings;
  ::setenv("HTTP_PROXY", "http://upper:1", 1);
  ::setenv("https_proxy", "http://lower:2", 1);
  ::setenv("NO_PROXY", "r.example", 1);
  EXPECT_EQ(proxy_for(settings, *parse_url("http://a.example")), "http://upper:1");
  EXPECT_EQ(proxy_for(settings, *parse_url("https://a.example")), "http://lower:2");
  EXPECT_EQ(proxy_for(settings, *parse_url("https://r.example")), "");
  ::setenv("REQUEST_METHOD", "GET", 1);
  EXPECT_EQ(proxy_for(settings, *parse_url("http://a.example")), "") << "a CGI's client may have set it";
  for (const char* name : {"HTTP_PROXY", "https_proxy", "NO_PROXY", "REQUEST_METHOD"}) ::unsetenv(name);
}

}  // namespace
}  // namespace pouch::registry
