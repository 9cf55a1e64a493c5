#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "core/registry/challenge.h"
#include "core/registry/docker_config.h"
#include "core/registry/endpoints.h"
#include "core/registry/retry.h"
#include "core/registry/token_text.h"
#include "core/registry/transport.h"

namespace pouch::registry {
namespace {

TEST(Challenge, AsServersSendThem) {
  const auto one = parse_challenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].scheme, "bearer");
  EXPECT_EQ(one[0].parameters.at("realm"), "https://auth.docker.io/token");
  EXPECT_EQ(one[0].parameters.at("scope"), "repository:a/b:pull,push");

  const auto two = parse_challenges(R"(Basic realm="a, \"b\"", Bearer realm=x , service = "s")");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].parameters.at("realm"), "a, \"b\"");
  EXPECT_EQ(two[1].scheme, "bearer");
  EXPECT_EQ(two[1].parameters.at("service"), "s");
}

TEST(Challenge, WhatCannotBeReadIsLeftOut) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges(" ,,; \"").empty());
  EXPECT_EQ(parse_challenges("Bearer realm=\"never ends")[0].parameters.at("realm"), "never ends");
  EXPECT_EQ(parse_challenges("Bearer realm=\"x\\").size(), 1U);
  EXPECT_EQ(parse_challenges("Negotiate").size(), 1U);
  EXPECT_EQ(parse_challenges(std::string("B\0asic r=1", 10)).size(), 2U);
}

TEST(TokenText, ParametersStandBeforeAFragment) {
  const Challenge challenge = parse_challenges(R"(Bearer realm="https://t/x?a=1#f",service="s")").at(0);
  EXPECT_EQ(token_request(challenge, std::nullopt, false).url, "https://t/x?a=1&service=s");
  EXPECT_EQ(token_request(challenge, Credentials{"", "", "id", ""}, false).url, "https://t/x?a=1");
}

TEST(TokenText, ATokenFitsIntoAHeader) {
  EXPECT_EQ(read_token(R"({"token":"a.b-c="})", "t")->token.value, "a.b-c=");
  for (const char* token : {"", R"(a\r\nX: y)", R"(a\u0000b)", R"(a\tb)", R"(a\u007f)"}) {
    EXPECT_EQ(read_token(std::string(R"({"token":")") + token + "\"}", "t").code(), Code::kUnavailable)
        << token;
  }
}

TEST(Retry, After) {
  const Timestamp now = *Timestamp::parse_rfc3339("2026-11-26T12:00:00Z");
  EXPECT_EQ(retry_after_ms("3", now), 3'000);
  EXPECT_EQ(retry_after_ms(" 0 ", now), 0);
  EXPECT_EQ(retry_after_ms("Thu, 26 Nov 2026 12:00:05 GMT", now), 5'000);
  EXPECT_EQ(retry_after_ms("Thu, 26 Nov 2026 11:00:00 GMT", now), 0);
  EXPECT_EQ(retry_after_ms("86401", now), 86'400'000);
  EXPECT_EQ(retry_after_ms("99999999999999999999", now), 86'400'000);
  for (const char* text : {"", "soon", "1.5", "-", "Thu, 26 Nov 2026 12:00:05 GMT x"}) {
    EXPECT_EQ(retry_after_ms(text, now), std::nullopt) << text;
  }
}

TEST(Retry, PausesGrowToALimit) {
  for (int attempt = 2; attempt < 40; ++attempt) {
    const int64_t longest = std::min<int64_t>(int64_t{200} << std::min(attempt - 2, 10), 5'000);
    const int64_t pause = backoff_ms(attempt);
    EXPECT_GE(pause, longest / 2);
    EXPECT_LE(pause, longest);
  }
}

TEST(DockerConfig, AccountsOfTheFile) {
  // alice:secret, with Docker Hub's old key and one with an identity token.
  const auto config = DockerConfig::parse(R"({"auths": {
      "https://index.docker.io/v1/": {"auth": "YWxpY2U6c2VjcmV0"},
      "localhost:5000": {"username": "bob", "password": "p:w"},
      "https://other.example/v2/": {"identitytoken": "t"},
      "empty.example": {}}, "HttpHeaders": {"X": "y"}})");
  ASSERT_TRUE(config.is_ok()) << config.status().message();
  const Settings settings;
  const auto hub = *config->account("docker.io", settings);
  ASSERT_TRUE(hub.has_value());
  EXPECT_EQ(hub->username + "/" + hub->password, "alice/secret");
  EXPECT_EQ((*config->account("localhost:5000", settings))->password, "p:w");
  EXPECT_EQ((*config->account("other.example", settings))->identity_token, "t");
  EXPECT_FALSE(config->account("empty.example", settings)->has_value());
  EXPECT_FALSE(config->account("localhost:5001", settings)->has_value());
}

TEST(DockerConfig, WhatIsWrongIsToldWithoutSecrets) {
  EXPECT_TRUE(DockerConfig::parse("").is_ok());
  EXPECT_EQ(DockerConfig::parse("[]").code(), Code::kInvalidArgument);
  EXPECT_EQ(DockerConfig::parse("{").code(), Code::kInvalidArgument);
  const auto bad = DockerConfig::parse(R"({"auths": {"a.example": {"auth": "c2VjcmV0"}}})");
  EXPECT_EQ(bad.code(), Code::kInvalidArgument);
  EXPECT_NE(bad.status().message().find("a.example"), std::string::npos);
  EXPECT_EQ(bad.status().message().find("c2VjcmV0"), std::string::npos);
}

TEST(DockerConfig, Helpers) {
  const auto config = DockerConfig::parse(
      R"({"credsStore": "store", "credHelpers": {"a.example": "one", "t.example": "token"},
          "auths": {"b.example": {"auth": "YWxpY2U6c2VjcmV0"}}})");
  ASSERT_TRUE(config.is_ok());
  Settings settings;
  EXPECT_EQ(config->account("a.example", settings).code(), Code::kNotImplemented);
  std::vector<std::string> asked;
  settings.run_helper = [&](const std::string& program, const std::string& verb,
                            const std::string& input) -> Result<std::string> {
    asked.push_back(program + " " + verb + " " + input);
    if (program.ends_with("-one")) return std::string(R"({"Username": "u", "Secret": "s"})");
    if (program.ends_with("-token")) return std::string(R"({"Username": "<token>", "Secret": "id"})");
    return not_found("credentials not found in native keychain");
  };
  EXPECT_EQ((*config->account("a.example", settings))->password, "s");
  EXPECT_EQ((*config->account("t.example", settings))->identity_token, "id");
  EXPECT_EQ((*config->account("b.example", settings))->username, "alice") << "the file's, after the store";
  EXPECT_FALSE(config->account("docker.io", settings)->has_value());
  EXPECT_EQ(asked, (std::vector<std::string>{"docker-credential-one get a.example",
                                             "docker-credential-token get t.example",
                                             "docker-credential-store get b.example",
                                             "docker-credential-store get https://index.docker.io/v1/"}));
}

TEST(DockerConfig, AnEmptyHelperMeansTheFile) {
  Settings settings;
  settings.run_helper = [](const std::string&, const std::string&,
                           const std::string&) -> Result<std::string> {
    return internal_error("nobody should ask");
  };
  const auto config = DockerConfig::parse(
      R"({"credsStore":"s","credHelpers":{"q.io":""},"auths":{"q.io":{"username":"u","password":"p"}}})");
  const auto account = config->account("q.io", settings);
  ASSERT_TRUE(account.is_ok() && account->has_value());
  EXPECT_EQ((*account)->username, "u");
  EXPECT_EQ(config->helper_of("q.io"), "");
}

TEST(Endpoints, OfDockerHubAndOthers) {
  Settings settings;
  const auto hub = *endpoints_of(settings, "docker.io");
  ASSERT_EQ(hub.size(), 1U);
  EXPECT_EQ(hub[0].base.str(), "https://registry-1.docker.io");
  const auto local = *endpoints_of(settings, "localhost:5000");
  ASSERT_EQ(local.size(), 2U);
  EXPECT_EQ(local[0].base.str(), "https://localhost:5000");
  EXPECT_EQ(local[1].base.str(), "http://localhost:5000");
}

TEST(Endpoints, MirrorsComeFirst) {
  Settings settings;
  settings.mirrors["docker.io"] = {"https://a.example/cache/", "http://127.0.0.1:5000"};
  const auto endpoints = endpoints_of(settings, "docker.io");
  ASSERT_TRUE(endpoints.is_ok());
  ASSERT_EQ(endpoints->size(), 3U);
  EXPECT_EQ((*endpoints)[0].base.str(), "https://a.example/cache");
  EXPECT_EQ((*endpoints)[0].base.host, "a.example");
  EXPECT_TRUE((*endpoints)[0].is_mirror);
  EXPECT_EQ((*endpoints)[1].base.str(), "http://127.0.0.1:5000");
  EXPECT_FALSE((*endpoints)[2].is_mirror);
  for (const char* bad :
       {"a.example", "https:///x", "ftp://a.example", "https://a.example/?q=1", "https://a b"}) {
    settings.mirrors["docker.io"] = {bad};
    EXPECT_EQ(endpoints_of(settings, "docker.io").code(), Code::kInvalidArgument) << bad;
  }
  settings.mirrors["docker.io"] = {"ftp://user:geheim@a.example"};
  EXPECT_EQ(endpoints_of(settings, "docker.io").status().message().find("geheim"), std::string::npos);
}

TEST(Endpoints, InsecureByNameAddressAndNetwork) {
  const std::vector<std::string> list{"a.example", "b.example:5000", "10.1.0.0/16", "fd00::/8", "broken/99"};
  for (const char* host :
       {"localhost", "localhost:1", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "a.example", "a.example:443",
        "b.example:5000", "10.1.2.3", "10.1.255.255:5000", "[fd12::1]:80"}) {
    EXPECT_TRUE(is_insecure(host, list)) << host;
  }
  for (const char* host :
       {"docker.io", "b.example", "b.example:5001", "10.2.0.1", "128.0.0.1", "[::2]:5000", "[fe80::1]"}) {
    EXPECT_FALSE(is_insecure(host, list)) << host;
  }
}

class Certificates : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    host_ = folder_ + "/r.example:5000";
    std::filesystem::create_directories(host_);
    settings_.certs_dirs = {folder_, folder_ + "/nosuch"};
    settings_.https_proxy = settings_.no_proxy = "";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const char* text) const { std::ofstream(host_ + "/" + name) << text; }
  Result<Transport> ask(const char* url, const char* home = "r.example:5000") const {
    return transport_of(settings_, *parse_url(url), home);
  }

  std::string folder_ = "/tmp/pouch-certs-XXXXXX";
  std::string host_;
  Settings settings_;
};

TEST_F(Certificates, OfDockersLayout) {
  write("b.crt", "two");
  write("a.crt", "one");
  write("readme", "no");
  auto transport = ask("https://r.example:5000");
  ASSERT_TRUE(transport.is_ok());
  EXPECT_EQ(transport->ca_pem, "one\ntwo\n");
  EXPECT_TRUE(transport->verify);
  write("client.cert", "c");
  EXPECT_EQ(ask("https://r.example:5000").status().message(),
            "missing key client.key for client certificate client.cert in " + host_);
  write("client.key", "k");
  transport = ask("https://r.example:5000");
  ASSERT_TRUE(transport.is_ok());
  EXPECT_EQ(transport->cert_file, host_ + "/client.cert");
  EXPECT_EQ(transport->key_file, host_ + "/client.key");
  write("other.key", "k");
  EXPECT_EQ(ask("https://r.example:5000").status().message(),
            "missing client certificate other.cert for key other.key in " + host_);
}

TEST_F(Certificates, AreThoseOfTheHostAndOfItsRegistry) {
  write("ca.crt", "one");
  EXPECT_EQ(ask("https://r.example", "r.example")->ca_pem, "");
  EXPECT_EQ(ask("http://r.example:5000")->ca_pem, "");
  EXPECT_EQ(ask("https://tokens.example")->ca_pem, "one\n") << "the token server of the registry";
}

TEST_F(Certificates, EachHostIsJudgedByItsOwnName) {
  settings_.insecure = {"r.example:5000"};
  EXPECT_FALSE(ask("https://r.example:5000")->verify);
  EXPECT_TRUE(ask("https://tokens.example")->verify);
  EXPECT_FALSE(ask("https://127.0.0.1:99")->verify);
}

}  // namespace
}  // namespace pouch::registry
