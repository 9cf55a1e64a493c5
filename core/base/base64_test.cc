#include "core/base/base64.h"

#include <gtest/gtest.h>

namespace pouch {
namespace {

// RFC 4648, section 10.
TEST(Base64, TheTestVectorsOfTheRfc) {
  const std::pair<std::string, std::string> vectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
    EXPECT_EQ(base64_decode(text.substr(0, text.find('='))), bytes) << "without padding";
  }
}

TEST(Base64, EveryByteInBothAlphabets) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  EXPECT_EQ(base64_decode(base64url_encode(bytes)), bytes);
  EXPECT_EQ(base64_encode("\xfb\xff"), "+/8=");
  EXPECT_EQ(base64url_encode("\xfb\xff"), "-_8=");
}

TEST(Base64, WhatIsNoBase64) {
  for (const char* text :
       {"A", "AAAAA", "A===", "AA=", "AA===", "AAA==", "AAAA=", "AA=A", "AA A", "AA\n", "A*AA", "="}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace pouch
