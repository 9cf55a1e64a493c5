#include "core/io/stdcopy.h"

#include <gtest/gtest.h>

namespace pouch::io {
namespace {

TEST(StdcopyTest, HeaderIsMobys) {
  EXPECT_EQ(mux_header(MuxStream::kStderr, 0x01020304), std::string("\x02\0\0\0\x01\x02\x03\x04", 8));
  EXPECT_EQ(mux_frame(MuxStream::kStdout, "hi"), std::string("\x01\0\0\0\0\0\0\x02hi", 10));
}

TEST(StdcopyTest, DecodesWhateverThePieces) {
  std::string bytes = mux_frame(MuxStream::kStdout, "one") + mux_frame(MuxStream::kStderr, "") +
                      mux_frame(MuxStream::kSystemError, std::string(3000, 'x'));
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}}) {
    MuxDecoder decoder;
    std::vector<MuxFrame> frames;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      decoder.feed(std::string_view(bytes).substr(at, piece));
      for (;;) {
        auto frame = decoder.next();
        ASSERT_TRUE(frame.is_ok());
        if (!frame->has_value()) break;
        frames.push_back(**frame);
      }
    }
    ASSERT_EQ(frames.size(), 3U);
    EXPECT_EQ(frames[0].data, "one");
    EXPECT_EQ(frames[1].stream, MuxStream::kStderr);
    EXPECT_EQ(frames[2].data.size(), 3000U);
    EXPECT_TRUE(decoder.is_at_boundary());
  }
}

TEST(StdcopyTest, RefusesWhatIsNoHeader) {
  MuxDecoder text;
  text.feed("HTTP/1.1 200");
  EXPECT_EQ(text.next().code(), Code::kDataLoss);
  MuxDecoder huge(1000);
  huge.feed(mux_header(MuxStream::kStdout, 1001));
  EXPECT_EQ(huge.next().code(), Code::kDataLoss);
  MuxDecoder cut;
  cut.feed(mux_frame(MuxStream::kStdout, "abc").substr(0, 9));
  EXPECT_FALSE(cut.next()->has_value());
  EXPECT_FALSE(cut.is_at_boundary());
}

}  // namespace
}  // namespace pouch::io
