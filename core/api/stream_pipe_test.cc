#include "core/api/stream_pipe.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace pouch {
namespace {

bool is_readable(const Stream& stream) {
  pollfd entry{stream.poll_fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST(StreamPipe, DeliversThenEnds) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const StreamPtr stream = pipe->open();
  Frame frame;
  EXPECT_EQ(*stream->next(&frame, Deadline::after_ms(0)), Next::kAgain);
  EXPECT_FALSE(is_readable(*stream));
  ASSERT_TRUE(pipe->push(Channel::kStdout, std::string("a\0b", 3)).is_ok());
  EXPECT_TRUE(is_readable(*stream));
  EXPECT_EQ(*stream->next(&frame, Deadline::never()), Next::kFrame);
  EXPECT_EQ(frame.data.size(), 3U);
  EXPECT_FALSE(is_readable(*stream));
  pipe->finish(std::string("{}"));
  EXPECT_TRUE(is_readable(*stream));
  EXPECT_EQ(*stream->next(&frame, Deadline::never()), Next::kEof);
  EXPECT_EQ(*stream->finish({}), "{}");
}

TEST(StreamPipe, BlocksTheProducerUntilRead) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const StreamPtr stream = pipe->open();
  std::thread producer([&] {
    for (int i = 0; i < 64; ++i) pipe->push(Channel::kData, std::string(100'000, 'x')).ignore();
    pipe->finish(std::string());
  });
  size_t total = 0;
  Frame frame;
  while (*stream->next(&frame, Deadline::never()) == Next::kFrame) total += frame.data.size();
  EXPECT_EQ(total, 6'400'000U);
  producer.join();
}

TEST(StreamPipe, ManySmallFramesCountToo) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kLag);
  const StreamPtr stream = pipe->open();
  for (size_t i = 0; i < StreamPipe::kMaxFrames; ++i) ASSERT_TRUE(pipe->push(Channel::kStdout, "x").is_ok());
  EXPECT_EQ(pipe->push(Channel::kStdout, "x").code(), Code::kLagged);
}

TEST(StreamPipe, EndsASlowReaderWithLagged) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kLag);
  const StreamPtr stream = pipe->open();
  Status status;
  for (int i = 0; i < 20 && status.is_ok(); ++i)
    status = pipe->push(Channel::kStdout, std::string(100'000, 'x'));
  EXPECT_EQ(status.code(), Code::kLagged);
  Frame frame;
  Result<Next> next = Next::kFrame;
  while (next.is_ok() && *next == Next::kFrame) next = stream->next(&frame, Deadline::never());
  EXPECT_EQ(next.code(), Code::kLagged);
}

TEST(StreamPipe, LatestReplacesByKeyAndDropCounts) {
  const auto latest = std::make_shared<StreamPipe>(QueuePolicy::kLatest);
  const StreamPtr stream = latest->open();
  latest->push_latest("layer1", "10%").ignore();
  latest->push_latest("layer1", "90%").ignore();
  Frame frame;
  EXPECT_EQ(*stream->next(&frame, Deadline::never()), Next::kFrame);
  EXPECT_EQ(frame.data, "90%");
  EXPECT_EQ(*stream->next(&frame, Deadline::after_ms(0)), Next::kAgain);

  const auto drop = std::make_shared<StreamPipe>(QueuePolicy::kDrop);
  const StreamPtr events = drop->open();
  for (int i = 0; i < 13; ++i) drop->push(Channel::kMessage, std::string(100'000, 'e')).ignore();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*events->next(&frame, Deadline::never()), Next::kFrame);
  EXPECT_EQ(*events->next(&frame, Deadline::after_ms(0)), Next::kAgain);
  drop->push(Channel::kMessage, "e").ignore();
  EXPECT_EQ(*events->next(&frame, Deadline::never()), Next::kFrame);
  EXPECT_EQ(frame.flags, 3U);
}

TEST(StreamPipe, CarriesInputAndHalfClose) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const StreamPtr stream = pipe->open();
  EXPECT_EQ(*stream->write("abc", Deadline::never()), 3U);
  EXPECT_TRUE(stream->close_write().is_ok());
  EXPECT_EQ(*pipe->read_input(2, Deadline::never()), "ab");
  EXPECT_EQ(*pipe->read_input(2, Deadline::never()), "c");
  EXPECT_EQ(*pipe->read_input(2, Deadline::never()), "");
  EXPECT_EQ(stream->write("x", Deadline::never()).code(), Code::kClosed);
}

TEST(StreamPipe, CancelWakesBothSides) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const StreamPtr stream = pipe->open();
  bool told = false;
  pipe->on_cancel([&] { told = true; });
  std::thread canceller([&] { stream->cancel(); });
  EXPECT_EQ(pipe->read_input(1, Deadline::never()).code(), Code::kCancelled);
  canceller.join();
  EXPECT_TRUE(told);
  Frame frame;
  EXPECT_EQ(stream->next(&frame, Deadline::never()).code(), Code::kCancelled);
  EXPECT_EQ(pipe->push(Channel::kData, "x").code(), Code::kCancelled);
}

}  // namespace
}  // namespace pouch
