#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/image/gzip_writer.h"
#include "core/image/inflate_source.h"
#include "core/image/testing_support.h"

namespace pouch::image {
namespace {

using testing::MemorySink;
using testing::TextSource;

std::string compressed(const std::string& bytes, size_t piece) {
  MemorySink sink;
  auto writer = sink.create();
  EXPECT_TRUE(writer.is_ok());
  GzipWriter gzip(**writer);
  for (size_t at = 0; at < bytes.size(); at += piece)
    EXPECT_TRUE(gzip.write(std::string_view(bytes).substr(at, piece)).is_ok());
  const auto blob = gzip.finish();
  EXPECT_TRUE(blob.is_ok());
  EXPECT_EQ(blob->size, static_cast<int64_t>(sink.blobs[blob->digest].size()));
  EXPECT_EQ(blob->digest.str(), sha256_digest(sink.blobs[blob->digest]));
  return sink.blobs[blob->digest];
}

std::string inflated(const std::string& bytes) {
  TextSource source(bytes);
  InflateSource plain(source);
  std::string out;
  while (true) {
    const auto piece = plain.next();
    EXPECT_TRUE(piece.is_ok()) << piece.status().message();
    if (!piece.is_ok() || piece->empty()) return out;
    out += *piece;
  }
}

std::string text(size_t size) {
  std::mt19937 random(7);
  std::string out;
  while (out.size() < size) out += "line " + std::to_string(random() % 1000) + "\n";
  out.resize(size);
  return out;
}

std::string noise(size_t size) {
  std::mt19937 random(7);
  std::string out(size, '\0');
  for (char& byte : out) byte = static_cast<char>(random());
  return out;
}

TEST(GzipWriterTest, WhatIsUndoneIsWhatWasWritten) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), text(100), text(1 << 20), text((3 << 20) + 1), noise(1 << 20),
        noise((2 << 20) + 77), std::string(5 << 20, '\0')}) {
    EXPECT_EQ(inflated(compressed(bytes, 4096)), bytes);
  }
  EXPECT_LT(compressed(text(3 << 20), 4096).size(), size_t{1} << 20U);
}

TEST(GzipWriterTest, TheSameInWhateverPieces) {
  const std::string bytes = text((2 << 20) + 12'345) + noise(300'000);
  const std::string whole = compressed(bytes, bytes.size());
  EXPECT_EQ(compressed(bytes, 1), whole);
  EXPECT_EQ(compressed(bytes, 4096), whole);
  EXPECT_EQ(compressed(bytes, (1 << 20) + 1), whole);
}

TEST(GzipWriterTest, TheHeaderTellsNoTimeAndNoName) {
  const std::string head = compressed("x", 1).substr(0, 8);
  EXPECT_EQ(head, std::string("\x1f\x8b\x08\0\0\0\0\0", 8));
}

TEST(GzipWriterTest, TheSinksErrorEndsIt) {
  class Full final : public BlobSinkWriter {
   public:
    Status write(std::string_view /*bytes*/) override { return {Code::kResourceExhausted, "full"}; }
    Status commit(const Digest& /*digest*/, int64_t /*size*/) override { return {}; }
  };
  Full sink;
  GzipWriter gzip(sink);
  ASSERT_TRUE(gzip.write("x").is_ok());
  EXPECT_EQ(gzip.finish().status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace pouch::image
