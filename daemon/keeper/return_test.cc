// Attached clients over the deaths of the keeper's worker.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "core/io/keeper_client.h"
#include "core/sys/file.h"
#include "daemon/keeper/testing/keeper_program.h"

namespace pouch::keeper {
namespace {

using io::AttachConnection;
using io::EndReason;
using io::FrameType;

class ReturnTest : public KeeperTest {
 protected:
  void SetUp() override {
    client_ = ensure();
    ASSERT_TRUE(client_ != nullptr);
  }

  void open(const io::StdioSpec& how) {
    const auto paths = client_->open_stdio(how, soon());
    ASSERT_TRUE(paths.is_ok()) << paths.status().to_string();
    // The shim holds both ends.
    out_.reset(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
  }

  void kill_worker() {
    const auto status = client_->status(soon());
    ASSERT_TRUE(status.is_ok()) << status.status().to_string();
    ::kill(status->worker_pid, SIGKILL);
    wait_gone(status->worker_pid);
  }

  void print(std::string_view text) { EXPECT_TRUE(sys::write_all(out_.get(), text).is_ok()); }

  std::unique_ptr<AttachConnection> attach(const std::optional<io::AttachPosition>& at = std::nullopt) {
    io::AttachSpec wanted;
    wanted.can_resume = true;
    wanted.resume = at;
    auto attached = client_->attach("c1", wanted, soon());
    EXPECT_TRUE(attached.is_ok()) << attached.status().to_string();
    return attached.is_ok() ? std::move(*attached) : nullptr;
  }

  // To the end of the connection, or until there are as many bytes; `end` gets the frame that ended it.
  static std::string read(AttachConnection& attached, size_t bytes, io::Frame* end = nullptr) {
    std::string got;
    while (got.size() < bytes) {
      const auto frame = attached.read_frame(soon());
      if (frame.is_ok() && frame->type == FrameType::kEnd && end != nullptr) *end = *frame;
      if (!frame.is_ok() || frame->type == FrameType::kEnd) return got;
      got += frame->data;
    }
    return got;
  }

  std::unique_ptr<KeeperClient> client_;
  UniqueFd out_;
};

TEST_F(ReturnTest, WhatIsPrintedMeanwhileComes) {
  open(spec());
  auto attached = attach();
  print("before\nhalf");
  EXPECT_EQ(read(*attached, 11), "before\nhalf");
  kill_worker();
  print(" a line\n");
  ::usleep(100'000);  // the next worker would have read it, had it not to wait
  EXPECT_EQ(read(*attached, 1), "");
  auto back = attach(attached->position());
  print("after\n");
  EXPECT_EQ(read(*back, 14), " a line\nafter\n");
  EXPECT_EQ(back->position()->output.stdout_bytes, 25U);
  EXPECT_EQ(back->position()->client, attached->position()->client);
}

TEST_F(ReturnTest, AlsoWhenTheWorkerBecomesTheSupervisor) {
  open(spec());
  auto attached = attach();
  print("before\n");
  EXPECT_EQ(read(*attached, 7), "before\n");
  const auto status = client_->status(soon());
  ::kill(status->keeper_pid, SIGKILL);
  print("meanwhile\n");
  EXPECT_EQ(succession(*client_, status->worker_pid).keeper_pid, status->worker_pid);
  std::string got = read(*attached, 1);  // before the worker saw it, or not
  auto again = attach(attached->position());
  ASSERT_TRUE(again != nullptr);
  print("after\n");
  EXPECT_EQ(got + read(*again, 16 - got.size()), "meanwhile\nafter\n");
}

// Who is late finds in the log what it missed.
TEST_F(ReturnTest, LateOnesToo) {
  open(spec());
  auto attached = attach();
  print("before\n");
  EXPECT_EQ(read(*attached, 7), "before\n");
  kill_worker();
  std::string all;
  for (int i = 0; i < 30'000; ++i) all += "line " + std::to_string(i) + "\n";
  print(all);  // more than the pipe holds: the next worker has ceased to wait
  auto back = attach(attached->position());
  print("after\n");
  EXPECT_TRUE(read(*back, all.size() + 6) == all + "after\n");
}

TEST_F(ReturnTest, WhoWaitedForTheStartGetsAll) {
  auto waiting = attach();
  kill_worker();
  open(spec());
  print("early\n");
  EXPECT_EQ(read(*waiting, 1), "");
  auto back = attach(waiting->position());
  EXPECT_EQ(read(*back, 6), "early\n");
}

TEST_F(ReturnTest, ARunDoesNotEndBeforeItsClientsAreBack) {
  open(spec());
  auto attached = attach();
  kill_worker();
  EXPECT_EQ(read(*attached, 1), "");
  print("last words");
  out_.reset();
  std::thread engine([this] {
    const auto counts = client_->drain("c1", soon());
    EXPECT_TRUE(counts.is_ok() && counts->was_open && counts->reached_eof) << counts.status().to_string();
  });
  ::usleep(200'000);
  auto back = attach(attached->position());
  io::Frame end;
  EXPECT_EQ(read(*back, SIZE_MAX, &end), "last words");
  EXPECT_EQ(end.type, FrameType::kEnd);
  EXPECT_EQ(end.reason, EndReason::kExited);
  engine.join();
}

TEST_F(ReturnTest, ButNotForEver) {
  open(spec());
  auto attached = attach();
  auto left = attach();
  left.reset();  // while the worker lived
  kill_worker();
  print("last words\n");
  out_.reset();
  EXPECT_EQ(read(*attached, 1), "");
  const int64_t began = boot_now_ns();
  EXPECT_TRUE(client_->drain("c1", soon())->reached_eof);
  const int64_t took_ms = (boot_now_ns() - began) / 1'000'000;
  EXPECT_GE(took_ms, 1500);
  EXPECT_LT(took_ms, 10'000);
  EXPECT_EQ(logged_lines(), std::vector<std::string>{"last words"});
  auto back = attach(attached->position());
  io::Frame end;
  EXPECT_EQ(read(*back, SIZE_MAX, &end), "");
  EXPECT_EQ(end.reason, EndReason::kMissed);
}

TEST_F(ReturnTest, AnotherKeeperWillDo) {
  open(spec());
  auto attached = attach();
  print("before\n");
  EXPECT_EQ(read(*attached, 7), "before\n");
  const auto before = client_->status(soon());
  ::kill(before->keeper_pid, SIGKILL);
  ::kill(before->worker_pid, SIGKILL);
  wait_gone(before->keeper_pid);
  wait_gone(before->worker_pid);
  print("meanwhile\n");
  EXPECT_EQ(read(*attached, 1), "");
  client_ = ensure();
  ASSERT_TRUE(client_ != nullptr);
  auto back = attach(attached->position());
  EXPECT_EQ(read(*back, 10), "meanwhile\n");
}

TEST_F(KeeperTest, AnOlderOneKnowsNoPositions) {
  io::KeeperLaunch older = launch();
  older.program = POUCH_OLDER_KEEPER_PROGRAM;
  auto client = io::ensure_keeper(older, soon());
  ASSERT_TRUE(client.is_ok()) << client.status().to_string();
  io::AttachSpec wanted;
  wanted.can_resume = true;
  const auto attached = (*client)->attach("c1", wanted, soon());
  ASSERT_TRUE(attached.is_ok());
  const auto paths = (*client)->open_stdio(spec(), soon());
  const UniqueFd out(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(sys::write_all(out.get(), "hello\n").is_ok());
  EXPECT_EQ((*attached)->read_frame(soon())->data, "hello\n");
  EXPECT_FALSE((*attached)->position().has_value());
}

TEST_F(ReturnTest, WithoutALogWhatWasNotReadYetComes) {
  io::StdioSpec unlogged = spec();
  unlogged.log = {};
  open(unlogged);
  auto attached = attach();
  print("before\n");
  EXPECT_EQ(read(*attached, 7), "before\n");
  kill_worker();
  print("meanwhile\n");
  ::usleep(100'000);
  auto back = attach(attached->position());
  EXPECT_EQ(read(*back, 10), "meanwhile\n");
  EXPECT_EQ(back->position()->output.stdout_bytes, 17U);
}

// The worker that died had in its memory what a slow client has not read yet.
TEST_F(ReturnTest, WhatWasLoggedAndNotSentComes) {
  open(spec());
  auto attached = attach();
  std::string all;
  for (int i = 0; all.size() < (1 << 20); ++i) all += "line " + std::to_string(i) + "\n";
  print(all);
  ::usleep(100'000);
  kill_worker();
  std::string got = read(*attached, SIZE_MAX);
  EXPECT_LT(got.size(), all.size());
  EXPECT_EQ(attached->position()->output.stdout_bytes, got.size());
  auto back = attach(attached->position());
  print("after\n");
  got += read(*back, all.size() + 6 - got.size());
  EXPECT_TRUE(got == all + "after\n") << got.size();
}

TEST_F(ReturnTest, NumbersFollowEachOtherOverManyKills) {
  io::StdioSpec unlimited = spec();
  unlimited.log.max_size = -1;
  open(unlimited);
  auto attached = attach();
  constexpr int kLines = 400'000;
  std::thread container([this] {
    std::string piece;
    for (int i = 0; i < kLines; ++i) {
      piece += "line " + std::to_string(i) + "\n";
      if (i % 100 == 99) print(std::exchange(piece, {}));
      if (i % 1000 == 999) ::usleep(3000);
    }
    print("end\n");
  });
  std::atomic<bool> is_over{false};
  int kills = 0;
  std::thread killer([&] {
    for (; !is_over && kills < 6; ++kills) {
      ::usleep(150'000);
      kill_worker();
    }
  });
  std::string got;
  while (!got.ends_with("\nend\n")) {
    const auto frame = attached->read_frame(soon());
    if (frame.code() == Code::kUnavailable) {
      attached = attach(attached->position());
      ASSERT_TRUE(attached != nullptr);
      continue;
    }
    ASSERT_TRUE(frame.is_ok() && frame->type != FrameType::kEnd)
        << frame.status().to_string() << frame->message;
    got += frame->data;
    ::usleep(500);
  }
  is_over = true;
  container.join();
  killer.join();
  EXPECT_GT(kills, 1);
  // As the log: what a kill repeats there, it repeats here.
  std::string log;
  for (const std::string& line : logged_lines()) log += line + "\n";
  EXPECT_TRUE(got == log) << got.size() << " bytes, the log has " << log.size();
}

}  // namespace
}  // namespace pouch::keeper
