#include "core/registry/reference.h"

#include <gtest/gtest.h>

#include <string>

namespace pouch {
namespace {

const std::string kHex(64, 'a');

std::string normal(const std::string& text) {
  auto parsed = Reference::parse(text);
  return parsed.is_ok() ? parsed->str() : parsed.status().to_string();
}

TEST(Reference, CompletesShortNames) {
  EXPECT_EQ(normal("busybox"), "docker.io/library/busybox");
  EXPECT_EQ(normal("busybox:1.36"), "docker.io/library/busybox:1.36");
  EXPECT_EQ(normal("user/app"), "docker.io/user/app");
  EXPECT_EQ(normal("index.docker.io/busybox"), "docker.io/library/busybox");
  EXPECT_EQ(normal("docker.io/a/b/c:x"), "docker.io/a/b/c:x");
  EXPECT_EQ(normal("localhost/app"), "localhost/app");
  EXPECT_EQ(normal("localhost:5000/app:v1"), "localhost:5000/app:v1");
  EXPECT_EQ(normal("Host/app"), "Host/app");
  EXPECT_EQ(normal("[::1]:5000/a/b"), "[::1]:5000/a/b");
  EXPECT_EQ(normal("q.io/a@sha256:" + kHex), "q.io/a@sha256:" + kHex);
  EXPECT_EQ(normal("a:t@sha256:" + kHex), "docker.io/library/a:t@sha256:" + kHex);
  EXPECT_EQ(normal("a__b-c--d.e"), "docker.io/library/a__b-c--d.e");
}

TEST(Reference, FamiliarIsTheShortestForm) {
  const auto familiar = [](const std::string& text) {
    return Reference::parse(text)->with_default_tag().familiar();
  };
  EXPECT_EQ(familiar("docker.io/library/busybox"), "busybox:latest");
  EXPECT_EQ(familiar("docker.io/user/app:1"), "user/app:1");
  EXPECT_EQ(familiar("docker.io/library/a/b"), "library/a/b:latest");
  EXPECT_EQ(familiar("quay.io/x"), "quay.io/x:latest");
  EXPECT_EQ(familiar("a@sha256:" + kHex), "a@sha256:" + kHex);
}

TEST(Reference, FamiliarParsesToTheSame) {
  // Shorter ones would be another registry, or an id.
  for (const std::string& text : {std::string("docker.io/localhost/a"), std::string("docker.io/a.b/c:1"),
                                  "docker.io/library/" + kHex}) {
    const Reference parsed = *Reference::parse(text);
    const auto again = Reference::parse(parsed.familiar());
    ASSERT_TRUE(again.is_ok()) << text << ": " << again.status().to_string();
    EXPECT_EQ(again->str(), parsed.str()) << text;
  }
  EXPECT_EQ(Reference::parse("docker.io/library/" + kHex)->familiar(), "library/" + kHex);
  EXPECT_EQ(Reference::parse("docker.io/library/" + kHex + ":1")->familiar(), kHex + ":1");
  EXPECT_EQ(Reference::parse("docker.io/library/localhost")->familiar(), "localhost");
}

TEST(Reference, RefusesBadOnes) {
  for (const std::string& text : {std::string(),
                                  std::string("UPPER"),
                                  std::string("a/B"),
                                  std::string("a:"),
                                  std::string("a:-x"),
                                  std::string("a::b"),
                                  std::string("a//b"),
                                  std::string("/a"),
                                  std::string("a/"),
                                  std::string("a b"),
                                  std::string("-a"),
                                  std::string("a_"),
                                  std::string("a___b"),
                                  std::string("a..b"),
                                  std::string("a@sha256:12"),
                                  std::string("a@md5:00"),
                                  std::string("ho st.io/a"),
                                  std::string("h.io:x/a"),
                                  std::string("../a"),
                                  std::string("a\nb"),
                                  std::string("-h.io/a"),
                                  std::string("a:") + std::string(129, 'x'),
                                  std::string(300, 'a'),
                                  kHex,
                                  std::string("a@sha256:") + std::string(64, 'A')}) {
    EXPECT_EQ(Reference::parse(text).code(), Code::kInvalidArgument) << text;
  }
  EXPECT_NE(Reference::parse("UPPER").status().message().find("repository name must be lowercase"),
            std::string::npos);
}

TEST(Reference, RepoAndTag) {
  EXPECT_EQ(Reference::from_repo_and_tag("127.0.0.1:5999/t/x", "1")->str(), "127.0.0.1:5999/t/x:1");
  EXPECT_EQ(Reference::from_repo_and_tag("x", "")->str(), "docker.io/library/x:latest");
  EXPECT_EQ(Reference::from_repo_and_tag("x:1", "2").code(), Code::kInvalidArgument);
  EXPECT_EQ(Reference::from_repo_and_tag("x@sha256:" + kHex, "").code(), Code::kInvalidArgument);
  EXPECT_EQ(Reference::from_repo_and_tag("x", "a/b").code(), Code::kInvalidArgument);
}

TEST(Reference, WithDigestDropsTheTag) {
  EXPECT_EQ(Reference::parse("x:1")->with_digest(Digest("sha256:" + kHex)).familiar(), "x@sha256:" + kHex);
}

}  // namespace
}  // namespace pouch
