#include "core/engine/embed_uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pouch {
namespace {

using ::testing::HasSubstr;

TEST(EmbedUriTest, AllParts) {
  const auto options = parse_embed_uri(
      "embed:///srv/my%20root?run=/run/r1&containerd=/run/c.sock&snapshotter=native&runtime=crun&keeper=/k");
  ASSERT_TRUE(options.is_ok()) << options.status().message();
  EXPECT_EQ(options->root_dir, "/srv/my root");
  EXPECT_EQ(options->run_dir, "/run/r1");
  EXPECT_EQ(options->containerd_address, "/run/c.sock");
  EXPECT_EQ(options->snapshotter, "native");
  EXPECT_EQ(options->default_runtime, "crun");
  EXPECT_EQ(options->keeper_program, "/k");
}

TEST(EmbedUriTest, NothingGivenIsAllDefaults) {
  const auto options = parse_embed_uri("embed://");
  ASSERT_TRUE(options.is_ok()) << options.status().message();
  EXPECT_EQ(options->root_dir, "");
  EXPECT_EQ(options->run_dir, "");
  EXPECT_EQ(parse_embed_uri("embed://?runtime=crun")->default_runtime, "crun");
}

struct BadCase {
  const char* uri;
  const char* reason;
};

class EmbedUriBad : public ::testing::TestWithParam<BadCase> {};

TEST_P(EmbedUriBad, IsRefusedWithTheReason) {
  const auto options = parse_embed_uri(GetParam().uri);
  EXPECT_EQ(options.code(), Code::kInvalidArgument) << GetParam().uri;
  EXPECT_THAT(options.status().message(), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    All, EmbedUriBad,
    ::testing::Values(BadCase{"unix:///x", "does not begin with embed://"}, BadCase{"embed:/x", "embed://"},
                      BadCase{"embed://root/x", "three slashes"},
                      BadCase{"embed:///x?colour=red", "\"colour\""}, BadCase{"embed:///x?Run=/r", "\"Run\""},
                      BadCase{"embed:///x?run=/a&run=/b", "twice"}, BadCase{"embed:///x?run", "no value"},
                      BadCase{"embed:///x?run=", "no value"}, BadCase{"embed:///x?", "\"\""},
                      BadCase{"embed:///x?run=/a&", "\"\""}, BadCase{"embed:///x#y", "fragment"},
                      BadCase{"embed:///x%2", "hex digits"}, BadCase{"embed:///x%zz", "hex digits"},
                      BadCase{"embed:///x%00", "zero byte"}));

}  // namespace
}  // namespace pouch
