#include "core/image/manifest.h"

#include <gtest/gtest.h>

#include "core/image/image_config.h"

namespace pouch::image {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string descriptor(const std::string& more = "") {
  return R"({"mediaType": "t", "digest": ")" + kDigest + R"(", "size": 7)" + more + "}";
}

Result<Manifest> parse(const std::string& json) {
  return parse_manifest(json, "manifest x", {});
}

TEST(ManifestTest, ManifestAndIndex) {
  const auto manifest = parse(R"({"schemaVersion": 2, "mediaType": "m", "config": )" + descriptor() +
                              R"(, "layers": [)" + descriptor(R"(, "annotations": {"k": "v"})") + "]}");
  ASSERT_TRUE(manifest.is_ok()) << manifest.status().message();
  EXPECT_FALSE(manifest->is_index);
  EXPECT_EQ(manifest->media_type, "m");
  EXPECT_EQ(manifest->config.digest.str(), kDigest);
  ASSERT_EQ(manifest->layers.size(), 1U);
  EXPECT_EQ(manifest->layers[0].size, 7);
  EXPECT_EQ(manifest->layers[0].annotations.at("k"), "v");
  const auto index = parse(
      R"({"manifests": [)" + descriptor(R"(, "platform": {"os": "linux", "architecture": "arm64"})") + "," +
      descriptor(R"(, "annotations": {"vnd.docker.reference.type": "attestation-manifest"})") + "]}");
  ASSERT_TRUE(index.is_ok()) << index.status().message();
  EXPECT_TRUE(index->is_index);
  EXPECT_EQ(index->entries[0].platform->architecture, "arm64");
  EXPECT_TRUE(index->entries[1].is_attestation);
}

TEST(ManifestTest, WhatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "manifest x is invalid: "},
      {"[]", "it is not an object"},
      {R"({"config": {}, "layers": 1})", "layers is not an array"},
      {R"({"manifests": {}})", "manifests is not an array"},
      {R"({"config": 1, "layers": []})", "a descriptor is not an object"},
      {R"({"config": {"digest": "sha256:12", "size": 1}, "layers": []})", "no sha256 digest"},
      {R"({"config": {"digest": ")" + kDigest + R"(", "size": -1}, "layers": []})", "no size"},
      {R"({"mediaType": 1, "config": )" + descriptor() + R"(, "layers": []})", "mediaType is not a string"},
      {R"({"config": )" + descriptor(R"(, "annotations": [])") + R"(, "layers": []})",
       "annotations is not an object"},
  };
  for (const auto& [json, text] : cases) {
    const auto result = parse(json);
    EXPECT_EQ(result.code(), Code::kInvalidArgument) << json;
    EXPECT_NE(result.status().message().find(text), std::string::npos) << result.status().message();
  }
  EXPECT_EQ(parse(R"({"schemaVersion": 1, "fsLayers": []})").code(), Code::kNotImplemented);
  ImageLimits limits;
  limits.max_layers = 1;
  const std::string two =
      R"({"config": )" + descriptor() + R"(, "layers": [)" + descriptor() + "," + descriptor() + "]}";
  EXPECT_EQ(parse_manifest(two, "manifest x", limits).code(), Code::kResourceExhausted);
}

TEST(PlatformTest, Texts) {
  EXPECT_EQ(platform_text(*parse_platform_text("linux/arm64/v8")), "linux/arm64/v8");
  EXPECT_EQ(platform_text(*parse_platform_text("Linux/ARM64")), "linux/arm64");
  EXPECT_EQ(platform_text(*parse_platform_text("s390x")), "linux/s390x");
  EXPECT_EQ(platform_text(*parse_platform_text("windows")), "windows/" + std::string(host_architecture()));
  for (const char* text : {"", "/", "linux/", "a/b/c/d", "linux/am d64"}) {
    EXPECT_EQ(parse_platform_text(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST(PlatformTest, TheBestEntry) {
  const auto entry = [](const char* os, const char* architecture, const char* variant) {
    IndexEntry out;
    out.platform.emplace();
    out.platform->os = os;
    out.platform->architecture = architecture;
    if (*variant != '\0') out.platform->variant = variant;
    return out;
  };
  std::vector<IndexEntry> entries{entry("linux", "amd64", ""),   entry("linux", "arm", "v6"),
                                  entry("linux", "arm", "v7"),   entry("linux", "arm64", "v8"),
                                  entry("windows", "amd64", ""), IndexEntry{}};
  entries.push_back(entry("linux", "amd64", ""));
  entries.back().is_attestation = true;
  const auto best = [&](const char* platform) -> std::string {
    const auto found = entries_for(entries, *parse_platform_text(platform));
    if (found.empty()) return "none";
    return found[0]->platform ? platform_text(*found[0]->platform) : "any";
  };
  EXPECT_EQ(best("linux/amd64"), "linux/amd64");
  EXPECT_EQ(entries_for(entries, *parse_platform_text("linux/amd64")).size(), 2U)
      << "and what names no platform";
  EXPECT_EQ(best("linux/arm/v6"), "linux/arm/v6");
  EXPECT_EQ(best("linux/arm"), "linux/arm/v7");
  EXPECT_EQ(best("linux/arm64"), "linux/arm64/v8");
  EXPECT_EQ(best("linux/s390x"), "any");
  entries.erase(entries.begin() + 5);
  EXPECT_EQ(best("linux/s390x"), "none");
}

}  // namespace
}  // namespace pouch::image
