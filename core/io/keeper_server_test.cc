#include "core/io/keeper_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/io/channel.h"
#include "core/io/json_log.h"
#include "core/io/keeper_client.h"
#include "core/io/testing/keeper_fixture.h"

namespace pouch::io {
namespace {

TEST_F(KeeperServerTest, AttachBeforeOpenGetsEverything) {
  auto attached = attach("c1");
  const StdioPaths paths = open(spec());
  EXPECT_EQ(paths.stdin_path, "");
  UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
  UniqueFd err = open_end(paths.stderr_path, O_WRONLY);
  write_text(out, "first\nsecond ");
  write_text(err, "oops\n");
  write_text(out, "half");
  out.reset();
  err.reset();
  auto counts = client_->drain("c1", soon());
  ASSERT_TRUE(counts.is_ok()) << counts.status().to_string();
  EXPECT_EQ(counts->stdout_bytes, 17U);
  EXPECT_EQ(counts->stderr_bytes, 5U);
  EXPECT_TRUE(counts->reached_eof && counts->log_complete && counts->was_open);
  const Received received = receive_all(*attached);
  EXPECT_EQ(received.out, "first\nsecond half");
  EXPECT_EQ(received.err, "oops\n");
  EXPECT_EQ(received.end.reason, EndReason::kExited);
  EXPECT_EQ(attached->read_frame(soon()).code(), Code::kClosed);
  EXPECT_EQ(logged().size(), 22U);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/io"));
  EXPECT_FALSE(client_->drain("c1", soon())->was_open);  // again: nothing to do
}

TEST_F(KeeperServerTest, NoEndBeforeDrainAndOneStreamForATty) {
  StdioSpec tty = spec();
  tty.tty = true;
  const StdioPaths paths = open(tty);
  EXPECT_EQ(paths.stderr_path, "");
  auto attached = attach("c1");
  for (int i = 0; i < 3; ++i) {  // writers come and go
    const UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
    write_text(out, "x");
  }
  std::string got;
  while (got.size() < 3) got += attached->read_frame(soon())->data;
  EXPECT_EQ(attached->read_frame(Deadline::after_ms(30)).code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(client_->drain("c1", soon())->reached_eof);
  EXPECT_EQ(receive_all(*attached).end.reason, EndReason::kExited);
  EXPECT_EQ(logged(), "xxx");
}

TEST_F(KeeperServerTest, GrandchildHoldingThePipeIsCutOff) {
  stop();
  start(300);
  const StdioPaths paths = open(spec());
  const UniqueFd held = open_end(paths.stdout_path, O_WRONLY);
  write_text(held, "before\n");
  const int64_t began = boot_now_ns();
  auto counts = client_->drain("c1", soon());
  const int64_t took_ms = (boot_now_ns() - began) / 1'000'000;
  EXPECT_FALSE(counts->reached_eof);
  EXPECT_EQ(counts->stdout_bytes, 7U);
  EXPECT_GE(took_ms, 250);
  EXPECT_LT(took_ms, 2000);
  EXPECT_EQ(logged(), "before\n");
}

// The runtime copies the output of the process that has ended, late and in pieces.
TEST_F(KeeperServerTest, OutputThatStillComesIsNotCutOff) {
  stop();
  start(1500);
  const StdioPaths paths = open(spec());
  auto attached = attach("c1");
  UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
  std::thread runtime([&] {
    for (int i = 0; i < 10; ++i) {
      ::usleep(250'000);
      write_text(out, std::to_string(i) + "\n");
    }
    out.reset();
  });
  const auto counts = client_->drain("c1", soon());
  runtime.join();
  EXPECT_TRUE(counts->reached_eof);
  const Received received = receive_all(*attached);
  EXPECT_EQ(received.out, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  EXPECT_EQ(received.end.reason, EndReason::kExited);
  EXPECT_EQ(logged(), received.out);
}

TEST_F(KeeperServerTest, AnEndlessGrandchildIsCutOff) {
  stop();
  start(100);
  const StdioPaths paths = open(spec());
  std::atomic<bool> is_over{false};
  std::thread grandchild([&] {
    const UniqueFd out = open_end(paths.stdout_path, O_WRONLY | O_NONBLOCK);
    while (!is_over) {
      [[maybe_unused]] const ssize_t put = ::write(out.get(), "x\n", 2);
      ::usleep(10'000);
    }
  });
  for (int i = 0; i < 1000 && logged().empty(); ++i) ::usleep(10'000);
  const auto counts = client_->drain("c1", soon());
  is_over = true;
  grandchild.join();
  ASSERT_TRUE(counts.is_ok()) << counts.status().to_string();
  EXPECT_FALSE(counts->reached_eof);
}

// All of it is the keeper's for a while; the process has ended long before the last piece is read.
TEST_F(KeeperServerTest, SlowReaderOfAnEndedProcessMissesNothing) {
  stop();
  start(2000, 1000);
  const StdioPaths paths = open(spec());
  auto attached = attach("c1");
  constexpr size_t kTotal = 1000 * 1024;
  constexpr size_t kNap =
      32 * 1024;  // bytes between naps: three seconds of them, in which it never stands still
  {
    const UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
    for (size_t sent = 0; sent < kTotal; sent += 1024) write_text(out, std::string(1023, 'z') + "\n");
  }
  EXPECT_EQ(client_->drain("c1", soon())->stdout_bytes, kTotal);
  size_t seen = 0;
  while (seen < kTotal) {
    const auto frame = attached->read_frame(soon());
    ASSERT_TRUE(frame.is_ok()) << frame.status().to_string() << " after " << seen;
    ASSERT_EQ(frame->type, FrameType::kStdout) << "after " << seen;
    const size_t before = std::exchange(seen, seen + frame->data.size());
    if (before / kNap != seen / kNap) ::usleep(100'000);
  }
  const auto end = attached->read_frame(soon());
  ASSERT_TRUE(end.is_ok()) << end.status().to_string();
  EXPECT_EQ(end->reason, EndReason::kExited);
}

TEST_F(KeeperServerTest, SlowClientIsEndedAndTheContainerGoesOn) {
  const StdioPaths paths = open(spec());
  auto slow = attach("c1");
  auto quick = attach("c1");
  constexpr size_t kTotal = 8 * 1024 * 1024;
  std::thread container([&] {
    UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
    const std::string line = std::string(1023, 'z') + "\n";
    for (size_t sent = 0; sent < kTotal; sent += line.size()) write_text(out, line);
  });
  size_t seen = 0;
  while (seen < kTotal) {
    auto frame = quick->read_frame(soon());
    EXPECT_TRUE(frame.is_ok() && frame->type == FrameType::kStdout) << frame.status().to_string();
    if (!frame.is_ok() || frame->type != FrameType::kStdout) break;
    seen += frame->data.size();
  }
  EXPECT_EQ(seen, kTotal);
  container.join();  // though `slow` has read nothing
  const Received late = receive_all(*slow);
  EXPECT_EQ(late.end.reason, EndReason::kLagged);
  EXPECT_GT(late.out.size(), 0U);
  EXPECT_LT(late.out.size(), kTotal);
  EXPECT_GT(late.end.log_position, 0);
  EXPECT_EQ(client_->drain("c1", soon())->stdout_bytes, kTotal);
  EXPECT_EQ(logged().size(), kTotal);
}

TEST_F(KeeperServerTest, SlowButSteadyClientMissesNothing) {
  const StdioPaths paths = open(spec());
  auto attached = attach("c1");
  constexpr size_t kTotal = 6 * 1024 * 1024;
  std::thread container([&] {
    UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
    const std::string line = std::string(1023, 'z') + "\n";
    for (size_t sent = 0; sent < kTotal; sent += line.size()) write_text(out, line);
  });
  size_t seen = 0;
  while (seen < kTotal) {
    auto frame = attached->read_frame(soon());
    EXPECT_TRUE(frame.is_ok() && frame->type == FrameType::kStdout) << frame.status().to_string();
    if (!frame.is_ok() || frame->type != FrameType::kStdout) break;
    seen += frame->data.size();
    ::usleep(2000);
  }
  container.join();
  EXPECT_EQ(seen, kTotal);
}

TEST_F(KeeperServerTest, StdinOnceClosesAfterStart) {
  auto attached = attach("c1", true);
  ASSERT_TRUE(attached->write_stdin("early ", soon()).is_ok());
  StdioSpec with_stdin = spec();
  with_stdin.want_stdin = true;
  with_stdin.stdin_once = true;
  const StdioPaths paths = open(with_stdin);
  ASSERT_TRUE(attached->write_stdin("late", soon()).is_ok());
  ASSERT_TRUE(attached->close_stdin(soon()).is_ok());
  ASSERT_TRUE(client_->ping(soon()).is_ok());
  const UniqueFd in = open_end(paths.stdin_path, O_RDONLY | O_NONBLOCK);
  std::array<char, 64> buffer = {};
  std::string got;
  while (got.size() < 10) {
    const ssize_t count = ::read(in.get(), buffer.data(), buffer.size());
    if (count > 0) got.append(buffer.data(), static_cast<size_t>(count));
  }
  EXPECT_EQ(got, "early late");
  EXPECT_EQ(hooks_.closes, 0);
  EXPECT_EQ(::read(in.get(), buffer.data(), buffer.size()), -1);  // still open
  ASSERT_TRUE(client_->mark_started("c1", soon()).is_ok());
  EXPECT_EQ(::read(in.get(), buffer.data(), buffer.size()), 0);
  EXPECT_EQ(hooks_.closes, 1);
  EXPECT_EQ(hooks_.closed_stream, "c1");
}

TEST_F(KeeperServerTest, StdinStaysOpenUnlessOnce) {
  StdioSpec with_stdin = spec();
  with_stdin.want_stdin = true;
  const StdioPaths paths = open(with_stdin);
  ASSERT_TRUE(client_->mark_started("c1", soon()).is_ok());
  attach("c1", true)->close_stdin(soon()).ignore();
  ASSERT_TRUE(client_->ping(soon()).is_ok());
  EXPECT_EQ(hooks_.closes, 0);
  ASSERT_TRUE(client_->close_stdin("c1", soon()).is_ok());
  EXPECT_EQ(hooks_.closes, 1);
}

TEST_F(KeeperServerTest, DetachLeavesStdinOpenALostClientDoesNot) {
  StdioSpec once = spec();
  once.want_stdin = once.stdin_once = true;
  open(once);
  ASSERT_TRUE(client_->mark_started("c1", soon()).is_ok());
  auto leaving = attach("c1", true);
  ASSERT_TRUE(leaving->detach(soon()).is_ok());
  EXPECT_EQ(leaving->read_frame(soon()).code(), Code::kUnavailable);  // the keeper closed it
  EXPECT_EQ(hooks_.closes, 0);
  attach("c1", true).reset();
  for (int i = 0; i < 1000 && hooks_.closes == 0; ++i) ::usleep(1000);
  EXPECT_EQ(hooks_.closes, 1);
}

TEST_F(KeeperServerTest, StdinBackPressureLosesNothing) {
  StdioSpec with_stdin = spec();
  with_stdin.want_stdin = true;
  const StdioPaths paths = open(with_stdin);
  auto attached = attach("c1", true);
  constexpr size_t kTotal = 4 * 1024 * 1024;
  std::string sent(kTotal, '\0');
  for (size_t i = 0; i < kTotal; ++i) sent[i] = static_cast<char>('a' + i % 23);
  std::atomic<bool> is_sent{false};
  std::thread typing([&] {
    EXPECT_TRUE(attached->write_stdin(sent, soon()).is_ok());
    is_sent = true;
  });
  ::usleep(50'000);
  EXPECT_FALSE(is_sent);                       // nobody reads
  ASSERT_TRUE(client_->ping(soon()).is_ok());  // others are served
  const UniqueFd in = open_end(paths.stdin_path, O_RDONLY);
  std::string got;
  std::array<char, 65536> buffer;
  while (got.size() < kTotal) {
    const ssize_t count = ::read(in.get(), buffer.data(), buffer.size());
    ASSERT_GT(count, 0);
    got.append(buffer.data(), static_cast<size_t>(count));
  }
  typing.join();
  EXPECT_TRUE(got == sent);
}

TEST_F(KeeperServerTest, DiscardAndRemoveTellThoseWhoWait) {
  auto waiting = attach("c1");
  auto other = attach("c2");
  open(spec());
  ASSERT_TRUE(client_->discard("c1", "no such program", soon()).is_ok());
  const Received failed = receive_all(*waiting);
  EXPECT_EQ(failed.end.reason, EndReason::kFailed);
  EXPECT_EQ(failed.end.message, "no such program");
  ASSERT_TRUE(client_->close_waiters("c2", soon()).is_ok());
  EXPECT_EQ(receive_all(*other).end.reason, EndReason::kRemoved);
  EXPECT_TRUE(client_->status(soon())->streams.empty());
}

TEST_F(KeeperServerTest, GenerationsReplaceEachOther) {
  StdioSpec first = spec();
  const StdioPaths paths = open(first);
  EXPECT_EQ(open(first).stdout_path, paths.stdout_path);  // asked again: the same
  UniqueFd out = open_end(paths.stdout_path, O_WRONLY);
  write_text(out, "one\n");
  out.reset();
  StdioSpec second = spec();
  second.generation = 2;
  open(second);
  EXPECT_EQ(logged(), "one\n");
  EXPECT_EQ(client_->open_stdio(first, soon()).code(), Code::kConflict);
  EXPECT_FALSE(client_->drain("c1", soon(), 1)->was_open);  // late, of the first
  const auto status = client_->status(soon());
  ASSERT_EQ(status->streams.size(), 1U);
  EXPECT_EQ(status->streams[0].generation, 2);
  EXPECT_TRUE(client_->drain("c1", soon(), 2)->was_open);
}

TEST_F(KeeperServerTest, BadRequestsAreAnswered) {
  EXPECT_EQ(client_->open_stdio(spec("../etc"), soon()).code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->attach("", {}, soon()).code(), Code::kInvalidArgument);
  StdioSpec other = spec();
  other.log.driver = "syslog";
  const Status refused = client_->open_stdio(other, soon()).status();
  EXPECT_EQ(refused.code(), Code::kNotImplemented);
  EXPECT_NE(refused.message().find("HostConfig.LogConfig.Type \"syslog\""), std::string::npos);
  StdioSpec nowhere = spec();
  nowhere.log.path = folder_.file("absent/log");
  EXPECT_EQ(client_->open_stdio(nowhere, soon()).code(), Code::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/io"));
}

TEST_F(KeeperServerTest, StrangersAndNewerClientsAreTurnedAway) {
  auto stranger = connect_to(folder_.path());
  ASSERT_TRUE(send_before(stranger->get(), "GET / HTTP/1.1\r\n\r\n", soon()).is_ok());
  std::string bytes;
  EXPECT_EQ(receive_before(stranger->get(), bytes, soon()).code(), Code::kUnavailable);
  auto future = connect_to(folder_.path());
  Status transport;
  auto answer =
      exchange(future->get(), Op::kHello, {{"magic", kProtocolMagic}, {"version", "9"}, {"min_version", "7"}},
               soon(), transport);
  EXPECT_EQ(answer.code(), Code::kNotImplemented);
  EXPECT_TRUE(client_->ping(soon()).is_ok());
}

TEST_F(KeeperServerTest, AnotherWorkerTakesUpWhereOneLeft) {
  StdioSpec with_stdin = spec();
  with_stdin.want_stdin = with_stdin.stdin_once = true;
  const StdioPaths paths = open(with_stdin);
  ASSERT_TRUE(client_->mark_started("c1", soon()).is_ok());
  auto attached = attach("c1");
  UniqueFd out = open_end(paths.stdout_path, O_RDWR);  // as the shim does: both ends
  write_text(out, "whole\nhalf ");
  std::string got;
  while (got.size() < 11) got += attached->read_frame(soon())->data;
  stop();
  EXPECT_EQ(receive_all(*attached).end.reason, EndReason::kShutdown);
  write_text(out, "line\n");  // while nobody is there
  start();
  EXPECT_EQ(client_->status(soon())->streams.size(), 1U);
  ASSERT_TRUE(client_->close_stdin("c1", soon()).is_ok());
  EXPECT_EQ(hooks_.closes, 1);
  write_text(out, "more\n");
  out.reset();
  EXPECT_TRUE(client_->drain("c1", soon())->was_open);
  EXPECT_EQ(logged(), "whole\nhalf line\nmore\n");
}

// The worker may have died before the runtime was told: a process that reads to the end of its input would
// wait for ever.
TEST_F(KeeperServerTest, AnotherWorkerTellsAgainThatStdinIsClosed) {
  StdioSpec with_stdin = spec();
  with_stdin.want_stdin = with_stdin.stdin_once = true;
  const StdioPaths paths = open(with_stdin);
  ASSERT_TRUE(client_->mark_started("c1", soon()).is_ok());
  UniqueFd out = open_end(paths.stdout_path, O_RDWR);
  ASSERT_TRUE(client_->close_stdin("c1", soon()).is_ok());
  EXPECT_EQ(hooks_.closes, 1);
  stop();
  start();
  EXPECT_EQ(hooks_.closes, 2);
  EXPECT_EQ(hooks_.closed_stream, "c1");
  ASSERT_TRUE(client_->close_stdin("c1", soon()).is_ok());
  EXPECT_EQ(hooks_.closes, 2) << "once by each worker";
}

TEST_F(KeeperServerTest, HooksMayDrain) {
  open(spec());
  std::atomic<bool> is_done{false};
  hooks_.control.load()->drain("c1", 1, [&](const DrainCounts& counts) { is_done = counts.was_open; });
  for (int i = 0; i < 3000 && !is_done; ++i) ::usleep(1000);
  EXPECT_TRUE(is_done);
}

TEST_F(KeeperServerTest, ManyContainersAtOnce) {
  constexpr int kContainers = 50;
  std::vector<std::thread> containers;
  for (int i = 0; i < kContainers; ++i) {
    containers.emplace_back([this, i] {
      const std::string id = "many-" + std::to_string(i);
      auto paths = client_->open_stdio(spec(id), soon());
      ASSERT_TRUE(paths.is_ok()) << paths.status().to_string();
      UniqueFd out = open_end(paths->stdout_path, O_WRONLY);
      for (int line = 0; line < 100; ++line) write_text(out, "line " + std::to_string(line) + "\n");
      out.reset();
      EXPECT_TRUE(client_->drain(id, soon())->reached_eof);
    });
  }
  for (std::thread& container : containers) container.join();
  for (int i = 0; i < kContainers; ++i) EXPECT_EQ(logged("many-" + std::to_string(i)).size(), 790U);
}

TEST_F(KeeperServerTest, ServesNames) {
  auto client = KeeperClient::connect(folder_.path(), soon());
  ASSERT_TRUE(client.is_ok());
  EXPECT_TRUE((*client)->serve_names("abc-1", soon()).is_ok());
  EXPECT_EQ((*client)->serve_names("gone-1", soon()).code(), Code::kNotFound);
  EXPECT_EQ((*client)->serve_names("../x", soon()).code(), Code::kInvalidArgument);
  EXPECT_NE((*client)->status(soon())->features.find(kNamesFeature), std::string::npos);
}

}  // namespace
}  // namespace pouch::io
