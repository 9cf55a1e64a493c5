#include <gtest/gtest.h>

#include <set>

#include "core/api/container.gen.h"
#include "core/api/engine.gen.h"
#include "core/api/exec.gen.h"
#include "core/api/op.h"

namespace pouch::api {
namespace {

TEST(Json, RefusesWhatIsNotStrict) {
  for (const char* bad :
       {"", "{", "{\"a\":1,\"a\":2}", "{} x", "{/*c*/}", "NaN", "\"\xff\"", "{'a':1}", "[1,]"}) {
    EXPECT_EQ(parse_json(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(parse_json("\"a\nb\"").code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_json(std::string("\"a\0b\"", 5)).code(), Code::kInvalidArgument);
  // Half a character: no UTF-8 can be made of it.
  for (const char* half : {R"("\ude00")", R"("\ud83d")", R"("\ud83dx")", R"("\ud83d\n")", R"("\ud83d\u0041")",
                           R"("\ud83d\ud83d")", R"({"\uDFFF":1})"}) {
    EXPECT_EQ(parse_json(half).code(), Code::kInvalidArgument) << half;
  }
  EXPECT_EQ(parse_json(R"("\ud83d\ude00 \\ude00 \ud7ff\uE000")")->asString(),
            "😀 \\ude00 \xed\x9f\xbf\xee\x80\x80");
  EXPECT_EQ(parse_json(std::string(100, '[') + std::string(100, ']')).code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_json("[1,2]", {.max_bytes = 3, .max_depth = 4}).code(), Code::kResourceExhausted);
}

TEST(Json, KeepsInt64Exact) {
  const auto json = parse_json("[9223372036854775807,-9223372036854775808,18446744073709551615]");
  ASSERT_TRUE(json.is_ok());
  EXPECT_EQ(write_json(*json), "[9223372036854775807,-9223372036854775808,18446744073709551615]");
  EXPECT_EQ(write_json(*parse_json("\"<&ü\"")), "\"<&ü\"");
}

TEST(Codec, StrictNamesThePath) {
  const auto unknown = parse_document<ContainerCreateConfig>(R"({"Image":"x","HostConfig":{"Memry":1}})");
  EXPECT_EQ(unknown.code(), Code::kInvalidArgument);
  EXPECT_NE(unknown.status().message().find("HostConfig.Memry"), std::string::npos)
      << unknown.status().message();
  const auto wrong =
      parse_document<ContainerCreateConfig>(R"({"Image":"x","HostConfig":{"Mounts":[{"Type":1}]}})");
  EXPECT_NE(wrong.status().message().find("HostConfig.Mounts[0].Type: expected a string"), std::string::npos)
      << wrong.status().message();
  EXPECT_EQ(parse_document<ContainerCreateConfig>(R"({"Image":"x","StopTimeout":1.0})").code(),
            Code::kInvalidArgument);
}

TEST(Codec, LenientSkipsUnknownAndNull) {
  const auto read =
      parse_document<ContainerCreateConfig>(R"({"Image":"x","Future":1,"Env":null})", DecodeMode::kLenient);
  ASSERT_TRUE(read.is_ok()) << read.status().message();
  EXPECT_EQ(read->image, "x");
  EXPECT_FALSE(read->env.has_value());
}

TEST(Codec, RoundTripsEveryDefaultDocument) {
  ContainerCreateConfig config;
  config.image = "busybox";
  config.env = std::vector<std::string>{"A=b"};
  const std::string text = to_json_text(config);
  const auto back = parse_document<ContainerCreateConfig>(text);
  ASSERT_TRUE(back.is_ok()) << back.status().message();
  EXPECT_EQ(*back, config);
}

TEST(Operations, AreSortedAndFound) {
  std::set<std::string_view> names;
  for (const OpInfo& op : operations()) {
    EXPECT_TRUE(names.empty() || *names.rbegin() < op.name);
    names.insert(op.name);
    EXPECT_EQ(find_operation(op.name), &op);
  }
  EXPECT_EQ(find_operation("container.fly"), nullptr);
  ASSERT_NE(find_operation("container.stop"), nullptr);
  EXPECT_EQ(find_operation("container.stop")->path, "/containers/{id}/stop");
}

}  // namespace
}  // namespace pouch::api
