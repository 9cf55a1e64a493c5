#include "core/engine/session_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

namespace pouch {
namespace {

class SessionFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/pouch-session-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<SessionFile> create() const {
    auto file = SessionFile::create(dir_);
    EXPECT_TRUE(file.is_ok()) << file.status().message();
    return file.is_ok() ? std::move(*file) : nullptr;
  }

  std::string dir_;
};

TEST_F(SessionFileTest, LivesAsLongAsItsObject) {
  auto file = create();
  const std::string id = file->id();
  EXPECT_EQ(id.size(), 16U);
  const SessionLife life = look_at_session(dir_, id);
  EXPECT_TRUE(life.is_alive);
  EXPECT_EQ(life.pid, ::getpid());
  file.reset();
  EXPECT_FALSE(look_at_session(dir_, id).is_alive);
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(SessionFileTest, AFileWithoutLockIsOfADeadSession) {
  const std::string id = create()->id();
  std::filesystem::copy_file("/proc/self/stat", dir_ + "/" + id);
  EXPECT_FALSE(look_at_session(dir_, id).is_alive);
  sys::remove_if_unlocked(dir_, id);
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(SessionFileTest, AnotherIsNotRemovedFromUnderIt) {
  const auto file = create();
  sys::remove_if_unlocked(dir_, file->id());
  EXPECT_TRUE(look_at_session(dir_, file->id()).is_alive);
}

TEST_F(SessionFileTest, AChildDoesNotEndIt) {
  auto file = create();
  const pid_t child = ::fork();
  if (child == 0) {
    file.reset();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(look_at_session(dir_, file->id()).is_alive);
}

// The child has the file open and its lock; the process that it was made by is gone.
TEST_F(SessionFileTest, EndsWithItsProcessAlthoughAChildHoldsTheLock) {
  std::array<int, 2> tell{};
  ASSERT_EQ(::pipe2(tell.data(), O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::setpgid(0, 0);
    const auto file = create();
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    ::write(tell[1], file->id().data(), file->id().size());
    ::pause();
    ::_exit(0);
  }
  std::string id(16, ' ');
  ASSERT_EQ(::read(tell[0], id.data(), id.size()), 16);
  const SessionLife life = look_at_session(dir_, id);
  EXPECT_TRUE(life.is_alive);
  EXPECT_EQ(life.pid, parent);
  ::kill(parent, SIGKILL);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(parent), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(look_at_session(dir_, id).is_alive);  // a zombie
  EXPECT_EQ(::waitpid(parent, nullptr, 0), parent);
  EXPECT_FALSE(look_at_session(dir_, id).is_alive);
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/" + id));
  ::kill(-parent, SIGKILL);  // the child
  ::close(tell[0]);
  ::close(tell[1]);
}

}  // namespace
}  // namespace pouch
