#include "core/io/json_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "core/io/json_text.h"
#include "core/io/output_tap.h"
#include "core/io/testing/test_folder.h"

namespace pouch::io {
namespace {

const Timestamp kTime = *Timestamp::parse_rfc3339("2024-01-02T03:04:05.000000006Z");

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string line_of(std::string_view text, LogStream stream = LogStream::kStdout) {
  std::string out;
  encode_log_line(out, text, stream, kTime, "");
  return out;
}

std::unique_ptr<JsonLogWriter> open_writer(const std::string& path, int64_t max_size = -1, int max_file = 1) {
  auto writer = JsonLogWriter::open({path, max_size, max_file, {}});
  EXPECT_TRUE(writer.is_ok()) << writer.status().to_string();
  return std::move(*writer);
}

void write_lines(JsonLogWriter& writer, int from, int to) {
  for (int i = from; i < to; ++i)
    writer.add("line " + std::to_string(i) + "\n", LogStream::kStdout, Timestamp::now());
  ASSERT_TRUE(writer.flush().is_ok());
}

std::vector<std::string> read_all(const std::string& path, JsonLogQuery query) {
  auto reader = JsonLogReader::open(path, query);
  EXPECT_TRUE(reader.is_ok()) << reader.status().to_string();
  std::vector<std::string> texts;
  for (;;) {
    auto line = (*reader)->next(Deadline::after_ms(5000));
    EXPECT_TRUE(line.is_ok()) << line.status().to_string();
    if (!line.is_ok() || !line->has_value()) return texts;
    texts.push_back((*line)->text);
  }
}

void append(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(sys::write_all(fd.get(), text).is_ok());
}

TEST(JsonLogTest, EntriesAreDockers) {
  EXPECT_EQ(line_of("hello\n"),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-02T03:04:05.000000006Z\"}\n");
  std::string with_attrs;
  encode_log_line(with_attrs, "x", LogStream::kStderr, kTime, encode_attrs({{"b", "2"}, {"a", "1"}}));
  EXPECT_EQ(with_attrs,
            "{\"log\":\"x\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"1\",\"b\":\"2\"},"
            "\"time\":\"2024-01-02T03:04:05.000000006Z\"}\n");
}

TEST(JsonLogTest, EscapesAsDocker) {
  EXPECT_EQ(json_string("a\"b\\c\r\n\t\x01\x7f"), "\"a\\\"b\\\\c\\r\\n\\u0009\\u0001\x7f\"");
  EXPECT_EQ(json_string("<&>"), "\"\\u003c\\u0026\\u003e\"");
  EXPECT_EQ(json_string("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xb3"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xb3\"");
  EXPECT_EQ(json_string("\xe2\x80\xa8"), "\"\\u2028\"");
  // Not UTF-8: each byte for itself; overlong, a surrogate, cut, above U+10FFFF.
  EXPECT_EQ(json_string("\xff"), "\"\\ufffd\"");
  EXPECT_EQ(json_string("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xe2\x82"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(JsonLogTest, DecodesWhatOthersWrite) {
  auto line = decode_log_line(
      "{ \"stream\" : \"stderr\", \"extra\":{\"a\":[1,null,\"x]\"]}, "
      "\"log\":\"\\ud83d\\udc33\\/\\b\\ud800\",\"attrs\":{\"k\":\"v\"},"
      "\"time\":\"2024-01-02T03:04:05Z\"}");
  ASSERT_TRUE(line.is_ok()) << line.status().to_string();
  EXPECT_EQ(line->text, "\xf0\x9f\x90\xb3/\b\xef\xbf\xbd");
  EXPECT_EQ(line->stream, LogStream::kStderr);
  EXPECT_EQ(line->attrs.at("k"), "v");
  for (const char* bad :
       {"", "{}", "{\"log\":\"x", "null", "{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"now\"}",
        "{\"log\":1,\"stream\":\"stdout\",\"time\":\"2024-01-02T03:04:05Z\"}"}) {
    EXPECT_EQ(decode_log_line(bad).code(), Code::kDataLoss) << bad;
  }
}

TEST(JsonLogTest, LongLinesAreSplitAtSixteenKiB) {
  const TestFolder folder;
  auto writer = open_writer(folder.file("log"));
  auto partial = PartialLine::open(folder.file("part"));
  ASSERT_TRUE(partial.is_ok());
  const std::string output =
      std::string(16 * 1024 + 5, 'a') + "\nshort\n" + std::string(16 * 1024, 'b') + "\ntail";
  for (size_t at = 0; at < output.size(); at += 1000) {  // in pieces, as a FIFO gives them
    (*partial)->split(std::string_view(output).substr(at, 1000), LogStream::kStdout, *writer);
    ASSERT_TRUE(writer->flush().is_ok());
    ASSERT_TRUE((*partial)->commit().is_ok());
  }
  (*partial)->finish(LogStream::kStdout, *writer);
  ASSERT_TRUE(writer->flush().is_ok());
  const std::vector<std::string> expected = {std::string(16 * 1024, 'a'), "aaaaa\n", "short\n",
                                             std::string(16 * 1024, 'b'), "\n",      "tail"};
  EXPECT_EQ(read_all(folder.file("log"), {}), expected);
  auto reader = JsonLogReader::open(folder.file("log"), {});
  const Timestamp first = (**(*reader)->next(Deadline::never())).time;
  EXPECT_EQ((**(*reader)->next(Deadline::never())).time, first);  // one time for all of a line
}

TEST(JsonLogTest, RotatesAndReadsAllFilesInOrder) {
  const TestFolder folder;
  auto writer = open_writer(folder.file("log"), 400, 3);
  write_lines(*writer, 0, 40);
  EXPECT_EQ(::access(folder.file("log.2").c_str(), F_OK), 0);
  EXPECT_NE(::access(folder.file("log.3").c_str(), F_OK), 0);
  const std::vector<std::string> all = read_all(folder.file("log"), {});
  ASSERT_GT(all.size(), 8U);
  EXPECT_EQ(all.back(), "line 39\n");
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i], "line " + std::to_string(40 - all.size() + i) + "\n");
  JsonLogQuery query;
  for (const int64_t tail : {0, 1, 3, 8}) {  // over the ends of files
    query.tail = tail;
    EXPECT_EQ(read_all(folder.file("log"), query), std::vector<std::string>(all.end() - tail, all.end()));
  }
  query.tail = 1000;
  EXPECT_EQ(read_all(folder.file("log"), query), all);
}

TEST(JsonLogTest, OneFileIsReplacedNotCut) {
  const TestFolder folder;
  auto writer = open_writer(folder.file("log"), 200, 1);
  write_lines(*writer, 0, 1);
  UniqueFd old(::open(folder.file("log").c_str(), O_RDONLY | O_CLOEXEC));
  write_lines(*writer, 1, 10);
  struct stat before = {};
  struct stat now = {};
  ASSERT_EQ(::fstat(old.get(), &before), 0);
  ASSERT_EQ(::stat(folder.file("log").c_str(), &now), 0);
  EXPECT_NE(before.st_ino, now.st_ino);
  EXPECT_GT(before.st_size, 0);
}

TEST(JsonLogTest, SelectsByStreamAndTime) {
  const TestFolder folder;
  auto writer = open_writer(folder.file("log"));
  for (int i = 0; i < 10; ++i) {
    writer->add(std::to_string(i), i % 2 == 0 ? LogStream::kStdout : LogStream::kStderr,
                Timestamp{kTime.ns + i});
  }
  ASSERT_TRUE(writer->flush().is_ok());
  JsonLogQuery query;
  query.want_stderr = false;
  query.since = Timestamp{kTime.ns + 2};
  query.until = Timestamp{kTime.ns + 6};
  EXPECT_EQ(read_all(folder.file("log"), query), (std::vector<std::string>{"2", "4", "6"}));
  query = {};
  query.tail = 3;  // of both streams together, as Docker counts
  query.want_stdout = false;
  EXPECT_EQ(read_all(folder.file("log"), query), (std::vector<std::string>{"7", "9"}));
}

TEST(JsonLogTest, SurvivesATornEnd) {
  const TestFolder folder;
  append(folder.file("log"),
         line_of("one\n") + "garbage\n" + line_of("two\n") + line_of("torn\n").substr(0, 20));
  EXPECT_EQ(read_all(folder.file("log"), {}), (std::vector<std::string>{"one\n", "two\n"}));
  auto writer = open_writer(folder.file("log"));  // cuts it off
  write_lines(*writer, 0, 1);
  EXPECT_EQ(read_all(folder.file("log"), {}), (std::vector<std::string>{"one\n", "two\n", "line 0\n"}));
}

TEST(JsonLogTest, AbsentLogIsEmpty) {
  const TestFolder folder;
  EXPECT_TRUE(read_all(folder.file("none"), {}).empty());
}

TEST(JsonLogTest, FollowsOverManyRotations) {
  const TestFolder folder;
  constexpr int kLines = 3000;
  JsonLogQuery query;
  query.follow = true;
  auto reader = JsonLogReader::open(folder.file("log"), query);  // before the log is there
  ASSERT_TRUE(reader.is_ok());
  std::thread writing([&] {
    auto writer = open_writer(folder.file("log"), 20'000, 5);
    for (int i = 0; i < kLines; i += 10) {
      write_lines(*writer, i, i + 10);
      ::usleep(300);  // the reader must not be outrun by five files
    }
    (*reader)->set_stopped();
  });
  int next = 0;
  for (;;) {
    auto line = (*reader)->next(Deadline::after_ms(10'000));
    ASSERT_TRUE(line.is_ok()) << line.status().to_string();
    if (!line->has_value()) break;
    ASSERT_EQ((*line)->text, "line " + std::to_string(next) + "\n");
    ++next;
  }
  writing.join();
  EXPECT_EQ(next, kLines);
  EXPECT_EQ((*reader)->skipped(), 0U);
}

TEST(JsonLogTest, FollowWaitsAndEnds) {
  const TestFolder folder;
  auto writer = open_writer(folder.file("log"));
  JsonLogQuery query;
  query.follow = true;
  query.tail = 0;
  auto reader = JsonLogReader::open(folder.file("log"), query);
  EXPECT_EQ((*reader)->next(Deadline::after_ms(20)).code(), Code::kDeadlineExceeded);
  write_lines(*writer, 7, 8);
  auto line = (*reader)->next(Deadline::after_ms(5000));
  ASSERT_TRUE(line.is_ok() && line->has_value());
  EXPECT_EQ((*line)->text, "line 7\n");
  write_lines(*writer, 8, 9);
  (*reader)->set_stopped();  // what was written before is still read
  EXPECT_EQ((**(*reader)->next(Deadline::after_ms(5000))).text, "line 8\n");
  EXPECT_FALSE((*reader)->next(Deadline::after_ms(5000))->has_value());
  std::thread cancelling([&] { (*reader)->cancel(); });
  cancelling.join();
  EXPECT_EQ((*reader)->next(Deadline::never()).code(), Code::kCancelled);
}

TEST(JsonLogTest, FollowEndsAtUntilAndWithItsFolder) {
  const TestFolder folder;
  JsonLogQuery query;
  query.follow = true;
  query.until = Timestamp{Timestamp::now().ns + 30'000'000};
  EXPECT_TRUE(read_all(folder.file("log"), query).empty());
  query.until.reset();
  ASSERT_EQ(::mkdir(folder.file("c").c_str(), 0700), 0);
  std::thread removing([&] {
    ::usleep(30'000);
    ::rmdir(folder.file("c").c_str());
  });
  EXPECT_TRUE(read_all(folder.file("c/log"), query).empty());
  removing.join();
}

}  // namespace
}  // namespace pouch::io
