// The keeper as a program: launched, killed, replaced.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/text.h"
#include "core/io/json_log.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "daemon/keeper/testing/keeper_program.h"

namespace pouch::keeper {
namespace {

TEST_F(KeeperTest, IsLaunchedOnceAndRunsFromTheRoot) {
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<KeeperClient>> clients(8);
  for (size_t i = 0; i < clients.size(); ++i) threads.emplace_back([&, i] { clients[i] = ensure(); });
  for (std::thread& thread : threads) thread.join();
  const auto first = clients[0]->status(soon());
  ASSERT_TRUE(first.is_ok());
  for (const auto& client : clients) {
    ASSERT_TRUE(client != nullptr);
    EXPECT_EQ(client->status(soon())->keeper_pid, first->keeper_pid);
  }
  std::string program(4096, '\0');
  const std::string link = "/proc/" + std::to_string(first->keeper_pid) + "/exe";
  program.resize(
      static_cast<size_t>(std::max<ssize_t>(0, ::readlink(link.c_str(), program.data(), program.size()))));
  EXPECT_TRUE(program.starts_with(folder_.file("root/bin/"))) << program;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  struct stat facts = {};
  ASSERT_EQ(::stat(folder_.file("run").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700U);
  // A second one leaves quietly.
  auto second = sys::run_program({POUCH_KEEPER_PROGRAM, {"--run-dir", folder_.file("run")}, {}}, soon());
  EXPECT_EQ(second->exit.code, 0);
  EXPECT_EQ(second->stderr_text, "");
  EXPECT_EQ(clients[0]->status(soon())->keeper_pid, first->keeper_pid);
}

TEST_F(KeeperTest, EndsWhenIdleAndComesBack) {
  io::KeeperLaunch quick = launch();
  quick.idle_exit_ms = 50;
  for (int i = 0; i < 5; ++i) {
    auto client = io::ensure_keeper(quick, soon());
    ASSERT_TRUE(client.is_ok()) << client.status().to_string();
    const int pid = (*client)->status(soon())->keeper_pid;
    ::usleep(80'000);  // a client keeps it
    EXPECT_TRUE((*client)->ping(soon()).is_ok());
    client->reset();
    if (i % 2 == 0) wait_gone(pid);  // else: asked for while it may be ending
    if (i % 2 == 1) ::usleep(48'000 + 1000 * static_cast<useconds_t>(i));
  }
}

TEST_F(KeeperTest, KilledWorkersLoseNothing) {
  auto client = ensure();
  auto paths = client->open_stdio(spec(), soon());
  ASSERT_TRUE(paths.is_ok());
  constexpr int kLines = 40'000;
  std::atomic<bool> is_written{false};
  std::thread container([&] {
    // The shim holds both ends, so that the pipe outlives its reader.
    const UniqueFd out(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
    std::string piece;
    for (int i = 0; i < kLines; ++i) {
      piece += "line " + std::to_string(i) + "\n";
      if (i % 7 != 6 && i + 1 < kLines) continue;
      // Odd pieces: chunks begin and end within lines.
      const size_t cut = piece.size() / 3;
      EXPECT_TRUE(sys::write_all(out.get(), piece.substr(0, cut)).is_ok());
      EXPECT_TRUE(sys::write_all(out.get(), piece.substr(cut)).is_ok());
      piece.clear();
      if (i % 50 == 0) ::usleep(100);
    }
    is_written = true;  // and the pipe's last writer leaves, whether a worker is there or not
  });
  int kills = 0;
  for (; kills < 5 && !is_written; ++kills) {
    ::usleep(15'000);
    const auto status = client->status(soon());
    ASSERT_TRUE(status.is_ok()) << status.status().to_string();
    ::kill(status->worker_pid, SIGKILL);
  }
  container.join();
  EXPECT_GT(kills, 1);
  auto counts = client->drain("c1", soon());
  ASSERT_TRUE(counts.is_ok()) << counts.status().to_string();
  EXPECT_TRUE(counts->was_open);
  // In order and whole; each kill may repeat one chunk, whose first line may then be the rest of one.
  const std::vector<std::string> lines = logged_lines();
  int next = 0;
  int repeats = 0;
  for (const std::string& line : lines) {
    if (line == "line " + std::to_string(next)) {
      ++next;
      continue;
    }
    const bool is_whole = line.starts_with("line ");
    const int number = is_whole ? ::atoi(line.c_str() + 5) : next;
    if (is_whole && number < next && line == "line " + std::to_string(number)) next = number + 1;
    ++repeats;
    ASSERT_LE(number, next + 1) << "lost before " << line;
  }
  EXPECT_EQ(next, kLines);
  EXPECT_LE(repeats, 2 * kills);
}

TEST_F(KeeperTest, ClientsReconnectAndAttachedOnesAreTold) {
  auto client = ensure();
  auto paths = client->open_stdio(spec(), soon());
  const UniqueFd out(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
  auto attached = client->attach("c1", {}, soon());
  const auto before = client->status(soon());
  ::kill(before->worker_pid, SIGKILL);
  EXPECT_EQ((*attached)->read_frame(soon()).code(), Code::kUnavailable);
  const int64_t began = boot_now_ns();
  auto again = client->attach("c1", {}, soon());
  ASSERT_TRUE(again.is_ok()) << again.status().to_string();
  EXPECT_LT((boot_now_ns() - began) / 1'000'000, 1000);
  ASSERT_TRUE(sys::write_all(out.get(), "still here\n").is_ok());
  EXPECT_EQ((*again)->read_frame(soon())->data, "still here\n");
  EXPECT_EQ(client->status(soon())->keeper_pid, before->keeper_pid);
}

TEST_F(KeeperTest, WholeKeeperKilledIsReplacedAndItsStreamsAdopted) {
  auto client = ensure();
  auto paths = client->open_stdio(spec(), soon());
  UniqueFd out(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(sys::write_all(out.get(), "one\n").is_ok());
  const auto before = client->status(soon());
  ::kill(before->worker_pid, SIGSTOP);  // or it takes its place
  ::kill(before->keeper_pid, SIGKILL);
  ::kill(before->worker_pid, SIGKILL);
  wait_gone(before->keeper_pid);
  wait_gone(before->worker_pid);
  ASSERT_TRUE(sys::write_all(out.get(), "two\n").is_ok());
  EXPECT_EQ(client->ping(soon()).code(), Code::kUnavailable);
  client = ensure();
  ASSERT_TRUE(client != nullptr);
  EXPECT_EQ(client->status(soon())->streams.size(), 1U);
  out.reset();
  EXPECT_TRUE(client->drain("c1", soon())->was_open);
  EXPECT_EQ(logged_lines(), (std::vector<std::string>{"one", "two"}));
}

// What a process blocks and ignores.
std::string signals_of(int pid) {
  const auto status = sys::read_file("/proc/" + std::to_string(pid) + "/status");
  std::string found;
  for (const std::string& line : split(status.is_ok() ? *status : "", '\n')) {
    if (line.starts_with("SigBlk:") || line.starts_with("SigIgn:")) found += line + " ";
  }
  return found;
}

// Else the worker's own death, later, would be that of a whole keeper: what is in the pipes would be lost,
// and nobody would read them until an engine needs a keeper.
TEST_F(KeeperTest, AWorkerTakesItsDeadSupervisorsPlace) {
  auto client = ensure();
  const auto paths = client->open_stdio(spec(), soon());
  UniqueFd out(::open(paths->stdout_path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(sys::write_all(out.get(), "one\n").is_ok());
  const auto before = client->status(soon());
  ASSERT_TRUE(before.is_ok()) << before.status().to_string();
  const std::string signals = signals_of(before->keeper_pid);
  const std::string worker_signals = signals_of(before->worker_pid);
  int heir = before->worker_pid;
  int dead = before->keeper_pid;
  for (int i = 0; i < 2; ++i) {  // the second has been a worker's child, not a launched one
    ::kill(dead, SIGKILL);
    const auto now = succession(*client, heir);
    ASSERT_EQ(now.keeper_pid, heir);
    ASSERT_NE(now.worker_pid, heir);
    EXPECT_EQ(now.streams.size(), 1U);
    EXPECT_EQ(signals_of(now.keeper_pid), signals);
    EXPECT_EQ(signals_of(now.worker_pid), worker_signals);
    dead = heir;
    heir = now.worker_pid;
  }
  // It knows the pipes: they keep what came while their reader could not take it, and nobody wrote any more.
  ::kill(heir, SIGSTOP);
  ASSERT_TRUE(sys::write_all(out.get(), "two\n").is_ok());
  out.reset();
  ::kill(heir, SIGKILL);
  EXPECT_TRUE(client->drain("c1", soon())->was_open);
  EXPECT_EQ(logged_lines(), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(client->status(soon())->keeper_pid, dead);
  EXPECT_TRUE(io::ensure_keeper(launch(), soon()).is_ok());
}

TEST_F(KeeperTest, ShutdownIsRefusedWhileStreamsAreOpen) {
  auto client = ensure();
  ASSERT_TRUE(client->open_stdio(spec(), soon()).is_ok());
  EXPECT_EQ(client->shutdown(false, soon()).code(), Code::kConflict);
  ASSERT_TRUE(client->discard("c1", "", soon()).is_ok());
  const int pid = client->status(soon())->keeper_pid;
  EXPECT_TRUE(client->shutdown(false, soon()).is_ok());
  wait_gone(pid);
}

// Someone cleaned up /run: nobody can find this keeper any more, and its workers find nothing to work on.
TEST_F(KeeperTest, EndsWhenItsFolderIsGone) {
  auto client = ensure();
  const auto status = client->status(soon());
  ASSERT_TRUE(status.is_ok());
  ASSERT_TRUE(sys::remove_tree(folder_.file("run")).is_ok());
  ::kill(status->worker_pid, SIGKILL);
  wait_gone(status->keeper_pid);
}

TEST_F(KeeperTest, OneThatLostItsFolderLeavesItsSuccessorAlone) {
  auto client = ensure();
  const auto old = client->status(soon());
  ASSERT_TRUE(old.is_ok());
  ASSERT_TRUE(sys::remove_tree(folder_.file("run")).is_ok());
  auto successor = ensure();
  ASSERT_NE(successor->status(soon())->keeper_pid, old->keeper_pid);
  ::kill(old->keeper_pid, SIGTERM);
  wait_gone(old->keeper_pid);
  EXPECT_TRUE(KeeperClient::connect(folder_.file("run"), soon()).is_ok());
}

TEST_F(KeeperTest, FailuresToStartSayWhy) {
  io::KeeperLaunch missing = launch();
  missing.program = folder_.file("no-keeper");
  EXPECT_EQ(io::ensure_keeper(missing, soon()).code(), Code::kNotFound);
  io::KeeperLaunch broken = launch();
  broken.extra_args = {"--no-such-option", "x"};
  const Status failed = io::ensure_keeper(broken, soon()).status();
  EXPECT_EQ(failed.code(), Code::kUnavailable);
  EXPECT_NE(failed.message().find("no-such-option"), std::string::npos) << failed.message();
}

}  // namespace
}  // namespace pouch::keeper
