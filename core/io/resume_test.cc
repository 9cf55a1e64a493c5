// Clients that come back with a position; the deaths of workers are daemon/keeper's.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/io/keeper_client.h"
#include "core/io/testing/keeper_fixture.h"

namespace pouch::io {
namespace {

class ResumeTest : public KeeperServerTest {
 protected:
  std::unique_ptr<AttachConnection> attach_at(const std::optional<AttachPosition>& at,
                                              bool want_stdout = true) {
    AttachSpec wanted;
    wanted.want_stdout = want_stdout;
    wanted.can_resume = true;
    wanted.resume = at;
    auto attached = client_->attach("c1", wanted, soon());
    EXPECT_TRUE(attached.is_ok()) << attached.status().to_string();
    return attached.is_ok() ? std::move(*attached) : nullptr;
  }

  // As many bytes as are asked for, of both streams.
  static std::string read(AttachConnection& attached, size_t bytes) {
    std::string got;
    while (got.size() < bytes) {
      const auto frame = attached.read_frame(soon());
      EXPECT_TRUE(frame.is_ok() && frame->type != FrameType::kEnd)
          << frame.status().to_string() << frame->message;
      if (!frame.is_ok() || frame->type == FrameType::kEnd) return got;
      got += frame->data;
    }
    return got;
  }

  // Opens the stream, and waits until a witness has seen all of what is printed.
  void print(std::string_view text, const StdioSpec& how) {
    const StdioPaths paths = open(how);
    if (!out_.is_valid()) out_ = open_end(paths.stdout_path, O_RDWR);
    if (!witness_) witness_ = attach("c1");
    std::thread container([&] { write_text(out_, text); });
    EXPECT_TRUE(read(*witness_, text.size()) == text);
    container.join();
  }
  void print(std::string_view text) { print(text, spec()); }

  UniqueFd out_;
  std::unique_ptr<AttachConnection> witness_;
};

TEST_F(ResumeTest, PositionFollowsWhatIsRead) {
  auto waiting = attach_at(std::nullopt);
  ASSERT_TRUE(waiting->position().has_value());
  EXPECT_EQ(waiting->position()->generation, 0);
  print("12345\n");
  EXPECT_EQ(read(*waiting, 6), "12345\n");
  EXPECT_EQ(waiting->position()->generation, 1);
  EXPECT_EQ(waiting->position()->output.stdout_bytes, 6U);
  EXPECT_NE(waiting->position()->client, 0U);
  auto late = attach_at(std::nullopt);
  print("abc");
  EXPECT_EQ(read(*late, 3), "abc");
  EXPECT_EQ(late->position()->output.stdout_bytes, 9U) << "what came before it counts";
  EXPECT_NE(late->position()->client, waiting->position()->client);
  EXPECT_FALSE(witness_->position().has_value()) << "did not ask for it";
}

TEST_F(ResumeTest, GoesOnAnywhere) {
  print("one\ntwo\nhalf");
  const std::string all = "one\ntwo\nhalf line\n";
  std::vector<std::unique_ptr<AttachConnection>> clients;
  for (uint64_t i = 0; i <= 12; ++i) clients.push_back(attach_at(AttachPosition{1, {i, 0}, 0}));
  print(" line\n");
  for (size_t i = 0; i <= 12; ++i) EXPECT_EQ(read(*clients[i], all.size() - i), all.substr(i)) << i;
  for (const auto& client : clients) EXPECT_EQ(client->position()->output.stdout_bytes, all.size());
}

TEST_F(ResumeTest, FromTheBeginningForWhoWaited) {
  print("early\n");
  auto back = attach_at(AttachPosition());
  EXPECT_EQ(read(*back, 6), "early\n");
  EXPECT_EQ(back->position()->generation, 1);
}

TEST_F(ResumeTest, EarlierRunsOfTheLogAreNotOfThisOne) {
  print("first run\n");
  out_.reset();
  witness_.reset();
  ASSERT_TRUE(client_->drain("c1", soon()).is_ok());
  StdioSpec second = spec();
  second.generation = 2;
  print("second\n", second);
  auto back = attach_at(AttachPosition());
  EXPECT_EQ(read(*back, 7), "second\n");
  auto of_the_first = attach_at(AttachPosition{1, {3, 0}, 1});
  EXPECT_EQ(receive_all(*of_the_first).end.reason, EndReason::kMissed);
}

TEST_F(ResumeTest, AFormerRunIsNotWaitedFor) {
  auto back = attach_at(AttachPosition{1, {3, 0}, 1});
  const Received received = receive_all(*back);
  EXPECT_EQ(received.end.reason, EndReason::kMissed);
  EXPECT_NE(received.end.message.find("has ended"), std::string::npos);
}

TEST_F(ResumeTest, OverRotatedFiles) {
  StdioSpec rotated = spec();
  rotated.log.max_size = 1000;
  rotated.log.max_file = 1000;
  std::string all;
  for (int i = 0; i < 2000; ++i) all += "line " + std::to_string(i) + "\n";
  print(all, rotated);
  auto back = attach_at(AttachPosition{1, {7, 0}, 0});
  EXPECT_EQ(read(*back, all.size() - 7), all.substr(7));
}

// An error rather than a gap.
TEST_F(ResumeTest, WhatWasRotatedAwayIsTold) {
  StdioSpec rotated = spec();
  rotated.log.max_size = 1000;
  std::string all;
  for (int i = 0; i < 2000; ++i) all += "line " + std::to_string(i) + "\n";
  print(all, rotated);
  auto back = attach_at(AttachPosition{1, {7, 0}, 0});
  const Received received = receive_all(*back);
  EXPECT_EQ(received.end.reason, EndReason::kMissed);
  EXPECT_EQ(received.out, "");
  EXPECT_GT(received.end.log_position, 0);
  auto near = attach_at(AttachPosition{1, {all.size() - 10, 0}, 0});
  EXPECT_EQ(read(*near, 10), "line 1999\n");
}

TEST_F(ResumeTest, BytesThatAreNotTextAreCountedAsPrinted) {
  print("\xff\xfe\xfd\n");
  auto back = attach_at(AttachPosition{1, {1, 0}, 0});
  EXPECT_EQ(read(*back, 7), "\xef\xbf\xbd\xef\xbf\xbd\n");
  print("live \xff\n");
  EXPECT_EQ(read(*back, 7), "live \xff\n");
  EXPECT_EQ(back->position()->output.stdout_bytes, 11U);
}

TEST_F(ResumeTest, OnlyWhatIsWanted) {
  const StdioPaths paths = open(spec());
  UniqueFd err = open_end(paths.stderr_path, O_RDWR);
  print("out 1\nout");
  write_text(err, "err 1\nerr");
  EXPECT_EQ(read(*witness_, 9), "err 1\nerr");
  auto back = attach_at(AttachPosition{1, {0, 2}, 0}, false);
  EXPECT_EQ(read(*back, 7), "r 1\nerr");
  auto both = attach_at(AttachPosition{1, {0, 0}, 0});
  out_.reset();
  err.reset();
  ASSERT_TRUE(client_->drain("c1", soon()).is_ok());
  const Received received = receive_all(*both);
  EXPECT_EQ(received.out, "out 1\nout");
  EXPECT_EQ(received.err, "err 1\nerr");
  EXPECT_EQ(received.end.reason, EndReason::kExited);
}

TEST_F(ResumeTest, WithoutALogItGoesOnWithWhatComes) {
  StdioSpec unlogged = spec();
  unlogged.log = {};
  print("gone\n", unlogged);
  auto back = attach_at(AttachPosition{1, {2, 0}, 0});
  print("next\n", unlogged);
  EXPECT_EQ(read(*back, 5), "next\n");
  EXPECT_EQ(back->position()->output.stdout_bytes, 10U);
}

// More than the keeper holds for a client that is slow.
TEST_F(ResumeTest, MuchAtOnceIsNoLag) {
  std::string line = std::string(1023, 'z') + "\n";
  std::string all;
  for (int i = 0; i < 5000; ++i) all += line;
  print(all);
  auto back = attach_at(AttachPosition{1, {0, 0}, 0});
  write_text(out_, "last\n");
  const std::string got = read(*back, all.size() + 5);
  EXPECT_TRUE(got == all + "last\n") << got.size();
}

TEST_F(ResumeTest, AnOrderlyEndLeavesNobodyToWaitFor) {
  open(spec());
  auto attached = attach_at(std::nullopt);
  stop();
  EXPECT_EQ(receive_all(*attached).end.reason, EndReason::kShutdown);
  start();
  const int64_t began = boot_now_ns();
  EXPECT_TRUE(client_->drain("c1", soon())->was_open);
  EXPECT_LT((boot_now_ns() - began) / 1'000'000, 1000);
}

}  // namespace
}  // namespace pouch::io
