#include "core/registry/account_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/registry/docker_config.h"

namespace pouch::registry {
namespace {

namespace fs = std::filesystem;

const Credentials kAlice{"alice", "secret", "", ""};

class AccountFile : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    settings_.docker_config = folder_ + "/docker";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path() const { return settings_.docker_config + "/config.json"; }
  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(path()).rdbuf();
    return out.str();
  }
  void write(const std::string& text) const {
    fs::create_directories(settings_.docker_config);
    std::ofstream(path()) << text;
  }
  std::optional<Credentials> read(const std::string& domain) const {
    return *DockerConfig::load(settings_)->account(domain, settings_);
  }
  Result<bool> change(const std::string& domain, const std::optional<Credentials>& account) const {
    return change_account(settings_, Call(), domain, account);
  }
  mode_t mode(const std::string& of) const {
    struct stat facts = {};
    return ::stat(of.c_str(), &facts) == 0 ? facts.st_mode & 0777U : 0;
  }

  std::string folder_ = "/tmp/pouch-accounts-XXXXXX";
  Settings settings_;
};

TEST_F(AccountFile, IsMadeForItsOwnerAlone) {
  const auto changed = change("docker.io", kAlice);
  ASSERT_TRUE(changed.is_ok()) << changed.status().message();
  EXPECT_FALSE(*changed);
  EXPECT_EQ(text(),
            "{\n\t\"auths\" : \n\t{\n\t\t\"https://index.docker.io/v1/\" : \n\t\t{\n\t\t\t\"auth\" : "
            "\"YWxpY2U6c2VjcmV0\"\n\t\t}\n\t}\n}\n");
  EXPECT_EQ(mode(path()), 0600U);
  EXPECT_EQ(mode(settings_.docker_config), 0700U);
  EXPECT_EQ(read("docker.io")->password, "secret");
}

TEST_F(AccountFile, WhatElseStandsThereStays) {
  write(R"({"HttpHeaders": {"X": "é"}, "auths": {"a.example": {"auth": "Yjpj"}, "https://r.example/v2/": {}},
            "psFormat": "{{.ID}}", "proxies": {"default": {"n": 12345678901234}}})");
  ::chmod(path().c_str(), 0644);
  ASSERT_TRUE(*change("r.example", kAlice)) << "the other spelling of the same place";
  EXPECT_EQ(mode(path()), 0600U);
  EXPECT_EQ(text().find("https://r.example"), std::string::npos);
  EXPECT_EQ(read("r.example")->username, "alice");
  EXPECT_EQ(read("a.example")->password, "c");
  for (const char* kept : {"é", "{{.ID}}", "12345678901234"})
    EXPECT_NE(text().find(kept), std::string::npos) << kept;
  ASSERT_TRUE(*change("r.example", std::nullopt));
  EXPECT_FALSE(*change("r.example", std::nullopt));
  EXPECT_FALSE(read("r.example"));
  EXPECT_EQ(read("a.example")->password, "c");
}

TEST_F(AccountFile, IdentityTokensTakeThePlaceOfPasswords) {
  ASSERT_TRUE(change("r.example", Credentials{"alice", "", "id", ""}).is_ok());
  EXPECT_EQ(read("r.example")->identity_token, "id");
  EXPECT_EQ(read("r.example")->username, "alice");
}

TEST_F(AccountFile, ThroughLinks) {
  fs::create_directories(settings_.docker_config);
  std::ofstream(folder_ + "/real.json") << "{}";
  fs::create_symlink("../real.json", path());
  ASSERT_TRUE(change("r.example", kAlice).is_ok());
  EXPECT_TRUE(fs::is_symlink(path()));
  EXPECT_EQ(read("r.example")->username, "alice");
}

TEST_F(AccountFile, NothingIsLostAmongThreads) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back(
        [this, i] { EXPECT_TRUE(change("r" + std::to_string(i) + ".example", kAlice).is_ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(read("r" + std::to_string(i) + ".example")) << i;
  EXPECT_EQ(std::distance(fs::directory_iterator(settings_.docker_config), fs::directory_iterator()), 1);
}

TEST_F(AccountFile, WhatIsBrokenIsLeftAlone) {
  for (const char* broken : {"{", "[]", R"({"auths": 5})"}) {
    write(broken);
    EXPECT_EQ(change("r.example", kAlice).code(), Code::kInvalidArgument) << broken;
    EXPECT_EQ(text(), broken);
  }
  EXPECT_EQ(change("r.example", Credentials{"a:b", "c", "", ""}).code(), Code::kInvalidArgument);
  EXPECT_EQ(change("r.example", Credentials()).code(), Code::kInvalidArgument);
  fs::remove(path());
  EXPECT_FALSE(*change("r.example", std::nullopt)) << "no file is made to forget something";
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(AccountFile, WithAHelper) {
  write(R"({"credsStore": "store", "auths": {"r.example": {"auth": "Yjpj"}}})");
  EXPECT_EQ(change("r.example", kAlice).code(), Code::kNotImplemented);
  std::vector<std::string> asked;
  bool has = false;
  settings_.run_helper = [&](const std::string& program, const std::string& verb,
                             const std::string& input) -> Result<std::string> {
    asked.push_back(program + " " + verb + " " + input);
    if (verb == "get" && !has) return not_found("credentials not found in native keychain");
    has = verb == "store" || (has && verb != "erase");
    return std::string(R"({"Username": "alice", "Secret": "secret"})");
  };
  ASSERT_TRUE(change("r.example", kAlice).is_ok());
  EXPECT_EQ(text().find("Yjpj"), std::string::npos) << "the old secret is not left in the file";
  EXPECT_NE(text().find("r.example"), std::string::npos);
  ASSERT_TRUE(*change("r.example", std::nullopt));
  EXPECT_FALSE(*change("r.example", std::nullopt));
  ASSERT_TRUE(change("docker.io", Credentials{"alice", "", "id", ""}).is_ok());
  EXPECT_EQ(
      asked,
      (std::vector<std::string>{
          R"(docker-credential-store store {"Secret":"secret","ServerURL":"r.example","Username":"alice"})",
          "docker-credential-store get r.example", "docker-credential-store erase r.example",
          "docker-credential-store get r.example",
          R"(docker-credential-store store {"Secret":"id","ServerURL":"https://index.docker.io/v1/","Username":"<token>"})"}));
}

}  // namespace
}  // namespace pouch::registry
