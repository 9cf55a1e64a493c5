#include "core/io/log_tail.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/io/testing/test_folder.h"

namespace pouch::io {
namespace {

class LogTailTest : public testing::Test {
 protected:
  void open(int64_t max_size = -1, int max_file = 1) {
    auto writer = JsonLogWriter::open({path_, max_size, max_file, {}});
    ASSERT_TRUE(writer.is_ok()) << writer.status().to_string();
    writer_ = std::move(*writer);
  }

  void add(std::string_view text, LogStream stream = LogStream::kStdout) {
    writer_->add(text, stream, Timestamp::now());
    ASSERT_TRUE(writer_->flush().is_ok());
  }

  // "o:" or "e:" before the data of each piece.
  std::string last(uint64_t stdout_bytes, uint64_t stderr_bytes = 0) const {
    const auto pieces = last_output(path_, {stdout_bytes, stderr_bytes});
    if (!pieces.is_ok()) return std::string(code_name(pieces.code()));
    std::string all;
    for (const OutputPiece& piece : *pieces) {
      all += (piece.stream == LogStream::kStdout ? "o:" : "e:") + piece.data;
    }
    return all;
  }

  const TestFolder folder_;
  const std::string path_ = folder_.file("log");
  std::unique_ptr<JsonLogWriter> writer_;
};

TEST_F(LogTailTest, CutsTheFirstEntry) {
  open();
  add("one\n");
  add("two\n");
  EXPECT_EQ(last(8), "o:one\ntwo\n");
  EXPECT_EQ(last(6), "o:e\ntwo\n");
  EXPECT_EQ(last(1), "o:\n");
  EXPECT_EQ(last(9), "NotFound");
}

TEST_F(LogTailTest, CountsEachStreamByItself) {
  open();
  add("a\n");
  add("x\n", LogStream::kStderr);
  add("b\n");
  add("y\n", LogStream::kStderr);
  EXPECT_EQ(last(2, 4), "e:x\no:b\ne:y\n");
  EXPECT_EQ(last(0, 1), "e:\n");
  EXPECT_EQ(last(3, 0), "o:\nb\n");
  EXPECT_EQ(last(1, 5), "NotFound");
  EXPECT_EQ(writer_->added().stdout_bytes, 4U);
  EXPECT_EQ(writer_->added().stderr_bytes, 4U);
}

TEST_F(LogTailTest, ReadsOverRotations) {
  open(2000, 100);
  std::string all;
  for (int i = 0; i < 3000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    add(line);
    all += line;
  }
  EXPECT_EQ(last(10'000), "o:" + all.substr(all.size() - 10'000));
  EXPECT_EQ(last(all.size()), "NotFound") << "the oldest files are gone";
}

// Each byte that is not UTF-8 is one, and what truly was U+FFFD three.
TEST_F(LogTailTest, CountsBytesThatAreNotText) {
  open();
  add("a\xff\xfe\xef\xbf\xbdz\n");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(last(8), "o:a" + bad + bad + bad + "z\n");
  EXPECT_EQ(last(7), "o:" + bad + bad + bad + "z\n");
  EXPECT_EQ(last(6), "o:" + bad + bad + "z\n");
  EXPECT_EQ(last(5), "o:" + bad + "z\n");
  EXPECT_EQ(last(2), "o:z\n");
  EXPECT_EQ(last(9), "NotFound");
  EXPECT_EQ(last_output(path_, {7, 0})->at(0).bytes, 7U);
}

TEST_F(LogTailTest, PlacesOutliveRotations) {
  open(300, 3);
  add("before\n");
  const LogPlace place = writer_->place();
  EXPECT_EQ(count_output(path_, place)->stdout_bytes, 0U);
  for (int i = 0; i < 4; ++i) add("after\n");
  EXPECT_NE(writer_->place().inode, place.inode);
  EXPECT_EQ(count_output(path_, place)->stdout_bytes, 24U);
  for (int i = 0; i < 20; ++i) add("after\n");
  EXPECT_EQ(count_output(path_, place).code(), Code::kNotFound);
  LogPlace cut = writer_->place();
  cut.offset = 1 << 20;
  EXPECT_EQ(count_output(path_, cut).code(), Code::kNotFound) << "the file was cut";
  LogPlace former = writer_->place();
  former.begun_ns = place.begun_ns;
  EXPECT_EQ(count_output(path_, former).code(), Code::kNotFound) << "the inode is another file's now";
}

}  // namespace
}  // namespace pouch::io
