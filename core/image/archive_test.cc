#include <gtest/gtest.h>

#include <string>

#include "core/base/id.h"
#include "core/image/archive_images.h"
#include "core/image/archive_stage.h"
#include "core/image/tar_reader.h"
#include "core/image/testing_support.h"

namespace pouch::image {
namespace {

using testing::DockerImage;
using testing::MemorySink;
using testing::TextSource;

struct Read {
  Status status;
  std::vector<ImageContent> images;
};

Read read_archive(const std::string& bytes, const ImageLimits& limits = {},
                  const std::optional<api::Platform>& platform = {}) {
  const Utf8Locale locale;
  TextSource source(bytes, 777);
  MemorySink sink;
  auto stage = ArchiveStage::read(source, sink, limits);
  if (!stage.is_ok()) return {stage.status(), {}};
  auto images = find_images(*stage, platform, limits);
  if (!images.is_ok()) return {images.status(), {}};
  return {{}, std::move(*images)};
}

DockerImage sample() {
  const std::string low = testing::raw_tar({{.name = "a", .data = "low"}});
  const std::string high = testing::raw_tar({{.name = "b", .data = "high"}});
  return {.layers = {low, testing::gzip(high)},
          .diff_ids = {sha256_digest(low), sha256_digest(high)},
          .tags = {"t/x:1", "y:2"}};
}

void expect_sample(const Read& read, const std::string& why) {
  ASSERT_TRUE(read.status.is_ok()) << why << ": " << read.status.to_string();
  ASSERT_EQ(read.images.size(), 1U) << why;
  const ImageContent& image = read.images.front();
  EXPECT_EQ(image.config.digest.str(), testing::image_id(sample())) << why;
  ASSERT_EQ(image.layers.size(), 2U) << why;
  EXPECT_EQ(image.layers[0].blob.media_type, kOciLayerType) << why;
  EXPECT_EQ(image.layers[1].blob.media_type, std::string(kOciLayerType) + "+gzip") << why;
  EXPECT_EQ(image.layers[1].blob.digest.str(), sha256_digest(sample().layers[1])) << why;
  EXPECT_EQ(image.layers[1].diff_id.str(), sample().diff_ids[1]) << why;
  ASSERT_EQ(image.names.size(), 2U) << why;
  EXPECT_EQ(image.names[0].familiar(), "t/x:1") << why;
  EXPECT_EQ(image.names[1].familiar(), "y:2") << why;
}

TEST(Archive, DockerAndOciPlainAndCompressed) {
  const std::string docker = testing::docker_archive(sample());
  const std::string oci = testing::oci_archive(sample());
  expect_sample(read_archive(docker), "docker");
  expect_sample(read_archive(testing::gzip(docker)), "docker gzip");
  expect_sample(read_archive(testing::zstd(docker)), "docker zstd");
  expect_sample(read_archive(oci), "oci");
  expect_sample(read_archive(testing::zstd(oci)), "oci zstd");
}

TEST(Archive, LargeFilesGoToTheSink) {
  ImageLimits limits;
  limits.max_memory_bytes = 0;
  expect_sample(read_archive(testing::docker_archive(sample()), limits), "docker");
  expect_sample(read_archive(testing::oci_archive(sample()), limits), "oci");
}

TEST(Archive, TruncatedAnywhereIsTold) {
  for (const std::string& whole :
       {testing::docker_archive(sample()), testing::gzip(testing::docker_archive(sample()))}) {
    for (const size_t keep : {whole.size() / 4, whole.size() / 2, whole.size() * 3 / 4}) {
      const Read read = read_archive(whole.substr(0, keep));
      EXPECT_EQ(read.status.code(), Code::kInvalidArgument) << keep;
      const std::string& text = read.status.message();
      // Cut between two entries it is a tar without its end: then what is missing is named.
      EXPECT_TRUE(text.find("truncated") != std::string::npos || text.find("no image") != std::string::npos)
          << keep << ": " << text;
    }
  }
  const std::string docker = testing::docker_archive(sample());
  EXPECT_NE(read_archive(docker.substr(0, 1024 + 600)).status.message().find("truncated"), std::string::npos);
}

TEST(Archive, ABitThatWasFlipped) {
  std::string bytes = testing::gzip(testing::docker_archive(sample()));
  bytes[bytes.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(read_archive(bytes).status.message(), "the archive is damaged: its compression cannot be undone");
}

TEST(Archive, NotAnArchive) {
  for (const std::string& bytes :
       {std::string(), std::string("hello"), std::string(100'000, 'x'), testing::gzip("no tar"),
        testing::raw_tar({}), testing::raw_tar({{.name = "etc/passwd", .data = "x"}})}) {
    EXPECT_EQ(read_archive(bytes).status.code(), Code::kInvalidArgument) << bytes.size();
  }
}

TEST(Archive, HostileNamesAndLinksAreOnlyKeys) {
  const std::string docker = testing::raw_tar({{.name = "../../etc/passwd", .data = "x"},
                                               {.name = "/etc/shadow", .data = "x"},
                                               {.name = "loop", .type = '2', .link = "loop"},
                                               {.name = "up", .type = '2', .link = "../../../etc/passwd"},
                                               {.name = "dev", .type = '3'}},
                                              false) +
                             testing::docker_archive(sample());
  expect_sample(read_archive(docker), "hostile");
}

TEST(Archive, FollowsLinksBetweenLayers) {
  DockerImage image = sample();
  const std::string config = testing::config_json({image.diff_ids[0], image.diff_ids[0]});
  const std::string tar = testing::raw_tar(
      {{.name = "x/layer.tar", .type = '2', .link = "../y/layer.tar"},
       {.name = "y/layer.tar", .data = image.layers[0]},
       {.name = "c.json", .data = config},
       {.name = "manifest.json", .data = R"([{"Config":"c.json","Layers":["x/layer.tar","y/layer.tar"]}])"}});
  const Read read = read_archive(tar);
  ASSERT_TRUE(read.status.is_ok()) << read.status.to_string();
  EXPECT_EQ(read.images[0].layers[0].blob.digest, read.images[0].layers[1].blob.digest);
}

TEST(Archive, WrongDiffIdOfAPlainLayer) {
  DockerImage image = sample();
  image.diff_ids[0] = sha256_digest("another");
  EXPECT_EQ(read_archive(testing::docker_archive(image)).status.code(), Code::kDataLoss);
}

TEST(Archive, WrongBlobInALayout) {
  std::string oci = testing::oci_archive(sample());
  const size_t at = oci.find("low");
  oci[at] = 'L';
  EXPECT_EQ(read_archive(oci).status.code(), Code::kDataLoss);
}

TEST(Archive, BadManifests) {
  const auto with = [](const std::string& manifest) {
    return read_archive(testing::raw_tar({{.name = "c.json", .data = testing::config_json({})},
                                          {.name = "manifest.json", .data = manifest}}))
        .status;
  };
  EXPECT_TRUE(with(R"([{"Config":"c.json","Layers":[]}])").is_ok());
  for (const char* manifest :
       {"", "{", "{}", "[]", "[1]", "[{}]", R"([{"Config":5}])", R"([{"Config":"none.json"}])",
        R"([{"Config":"manifest.json"}])", R"([{"Config":"c.json","Layers":"x"}])",
        R"([{"Config":"c.json","Layers":[7]}])", R"([{"Config":"c.json","Layers":["none"]}])",
        R"([{"Config":"c.json","Layers":["c.json"]}])", R"([{"Config":"c.json","RepoTags":["BAD:x"]}])",
        R"([{"Config":"c.json","RepoTags":["untagged"]}])", R"([{"Config":"../../etc/passwd"}])"}) {
    EXPECT_EQ(with(manifest).code(), Code::kInvalidArgument) << manifest;
  }
  EXPECT_EQ(with(std::string(200, '[') + std::string(200, ']')).code(), Code::kInvalidArgument);
}

TEST(Archive, BadConfigs) {
  for (const char* config : {"", "[]", R"({"os":"linux"})", R"({"os":"linux","architecture":"amd64"})",
                             R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["x"]}})",
                             R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":5}})",
                             R"({"os":7,"architecture":"amd64","rootfs":{}})",
                             R"({"os":"linux","architecture":"amd64","rootfs":{},"config":{"Env":"x"}})",
                             R"({"os":"linux","architecture":"amd64","rootfs":{},"created":"yesterday"})"}) {
    const std::string tar = testing::raw_tar(
        {{.name = "c.json", .data = config}, {.name = "manifest.json", .data = R"([{"Config":"c.json"}])"}});
    EXPECT_EQ(read_archive(tar).status.code(), Code::kInvalidArgument) << config;
  }
}

TEST(Archive, Limits) {
  ImageLimits limits;
  limits.max_archive_entries = 3;
  EXPECT_EQ(read_archive(testing::docker_archive(sample()), limits).status.code(), Code::kResourceExhausted);
  limits = {};
  limits.max_archive_bytes = 1000;
  EXPECT_EQ(read_archive(testing::docker_archive(sample()), limits).status.code(), Code::kResourceExhausted);
  limits = {};
  limits.max_json_bytes = 100;
  EXPECT_EQ(read_archive(testing::docker_archive(sample()), limits).status.code(), Code::kResourceExhausted);
  limits = {};
  limits.max_layers = 1;
  EXPECT_EQ(read_archive(testing::docker_archive(sample()), limits).status.code(), Code::kResourceExhausted);
  EXPECT_EQ(read_archive(testing::oci_archive(sample()), limits).status.code(), Code::kResourceExhausted);
}

// What a header says of a file's size is what it may have, holes included.
TEST(Archive, SparseFilesThatLie) {
  const uint64_t far = uint64_t{1} << 29U;
  for (const std::string& name : {std::string("manifest.json"), std::string("layer.tar")}) {
    const Read read = read_archive(testing::sparse_tar(name, 10, {{far, "x"}}));
    EXPECT_EQ(read.status.code(), Code::kInvalidArgument) << read.status.message();
    EXPECT_NE(read.status.message().find("more data than its size"), std::string::npos)
        << read.status.message();
  }
  ImageLimits limits;
  limits.max_archive_bytes = 1 << 20U;
  const Read large = read_archive(testing::sparse_tar("layer.tar", far, {{0, "x"}}), limits);
  EXPECT_EQ(large.status.code(), Code::kResourceExhausted) << large.status.message();
}

// Entries that are not kept count, too, and so do the names of those that are.
TEST(Archive, LimitsOfWhatIsNotWanted) {
  ImageLimits limits;
  limits.max_archive_bytes = 100'000;
  for (const char type : {'0', '3'}) {
    const std::string tar =
        testing::raw_tar({{.name = "../x", .data = std::string(200'000, 'x'), .type = type}}, false) +
        testing::docker_archive(sample());
    EXPECT_EQ(read_archive(testing::gzip(tar), limits).status.code(),
              type == '0' ? Code::kResourceExhausted : Code::kOk)
        << type;
  }
  limits = {};
  limits.max_name_bytes = 500;
  std::vector<testing::RawEntry> links;
  for (int i = 0; i < 100; ++i)
    links.push_back({.name = "l" + std::to_string(i), .type = '2', .link = "target"});
  EXPECT_EQ(
      read_archive(testing::raw_tar(links, false) + testing::docker_archive(sample()), limits).status.code(),
      Code::kResourceExhausted);
}

TEST(Archive, Platform) {
  api::Platform arm;
  arm.os = "linux";
  arm.architecture = "arm64";
  EXPECT_EQ(read_archive(testing::docker_archive(sample()), {}, arm).status.code(), Code::kInvalidArgument);
  EXPECT_EQ(read_archive(testing::oci_archive(sample()), {}, arm).status.code(), Code::kInvalidArgument);
  arm.architecture = "amd64";
  EXPECT_TRUE(read_archive(testing::oci_archive(sample()), {}, arm).status.is_ok());
}

TEST(Archive, ImageWithoutName) {
  DockerImage image = sample();
  image.tags.clear();
  EXPECT_TRUE(read_archive(testing::docker_archive(image)).images.at(0).names.empty());
  EXPECT_TRUE(read_archive(testing::oci_archive(image)).images.at(0).names.empty());
}

TEST(ChainId, IsThatOfTheImageSpec) {
  const Digest a(sha256_digest("a"));
  const Digest b(sha256_digest("b"));
  const std::vector<ChainId> chain = chain_ids({a, b});
  EXPECT_EQ(chain[0].str(), a.str());
  EXPECT_EQ(chain[1].str(), sha256_digest(a.str() + " " + b.str()));
}

TEST(NormalPath, Cases) {
  EXPECT_EQ(normal_path("./a//b/../c/"), "a/c");
  EXPECT_EQ(normal_path("../a"), "");
  EXPECT_EQ(normal_path("/a"), "a");
  EXPECT_EQ(normal_path("a/.."), "");
}

}  // namespace
}  // namespace pouch::image
