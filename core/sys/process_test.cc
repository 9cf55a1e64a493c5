#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/launcher.h"
#include "core/sys/own_cgroup.h"

namespace pouch::sys {
namespace {

std::string temporary_file(const std::string& name) {
  return testing::TempDir() + "pouch-process-" + std::to_string(::getpid()) + "-" + name;
}

std::map<std::string, std::string> status_of(const std::string& text) {
  std::map<std::string, std::string> fields;
  for (const std::string& line : split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos) fields[line.substr(0, colon)] = std::string(trim(line.substr(colon + 1)));
  }
  return fields;
}

// What `script` (sh) prints when launched from this process in a state as odd as it can be.
std::string launched_output(const std::string& script, const std::string& name) {
  const std::string path = temporary_file(name);
  LaunchSpec spec;
  spec.program = "/bin/sh";
  spec.args = {"-c", script + "; echo done"};
  spec.env = {"GIVEN=yes"};
  spec.stdout_path = path;
  auto pid = launch_detached(spec);
  EXPECT_TRUE(pid.is_ok()) << pid.status().to_string();
  std::string text;
  for (int i = 0; i < 5000 && !text.ends_with("done\n"); ++i) {
    ::usleep(1000);
    text = read_file(path).is_ok() ? *read_file(path) : "";
  }
  ::unlink(path.c_str());
  EXPECT_TRUE(text.ends_with("done\n")) << text;
  return text;
}

TEST(LauncherTest, InheritsNothing) {
  // A descriptor without O_CLOEXEC, an ignored and a blocked signal, a variable, a umask, a nice value, one
  // CPU.
  const UniqueFd leaky(::open("/etc/passwd", O_RDONLY));  // NOLINT: on purpose
  ::signal(SIGUSR1, SIG_IGN);
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  ::setenv("POUCH_TEST_LEAK", "1", 1);
  const mode_t old_umask = ::umask(077);
  cpu_set_t all;
  cpu_set_t one;
  CPU_ZERO(&one);
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  ::sched_setaffinity(0, sizeof one, &one);
  const ScopeGuard restore([&] {
    ::signal(SIGUSR1, SIG_DFL);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::unsetenv("POUCH_TEST_LEAK");
    ::umask(old_umask);
    ::sched_setaffinity(0, sizeof all, &all);
  });
  const std::string text = launched_output(
      // The shell blocks signals while it starts a program, so the program's own state is looked at.
      "cat /proc/self/status; ls -l /proc/$$/fd; echo ENV: `tr '\\0' ' ' < /proc/$$/environ`; "
      "echo CWD: `readlink /proc/$$/cwd`; echo STDIN: `readlink /proc/$$/fd/0`; echo STAT: `cat "
      "/proc/$$/stat`",
      "launch");
  auto status = status_of(text);
  EXPECT_EQ(status["SigIgn"], "0000000000000000");
  EXPECT_EQ(status["SigBlk"], "0000000000000000");
  EXPECT_EQ(status["Umask"], "0022");
  EXPECT_EQ(status["CWD"], "/");
  EXPECT_EQ(status["STDIN"], "/dev/null");
  EXPECT_EQ(status["ENV"].find("POUCH_TEST_LEAK"), std::string::npos);
  EXPECT_NE(status["ENV"].find("GIVEN=yes"), std::string::npos);
  size_t descriptors = 0;
  for (const std::string& line : split(text, '\n'))
    descriptors += line.find(" -> ") != std::string::npos ? 1U : 0U;
  EXPECT_EQ(descriptors, 3U) << text;
  const std::vector<std::string> stat = split(status["STAT"], ' ');
  ASSERT_GT(stat.size(), 18U);
  EXPECT_NE(stat[3], std::to_string(::getpid()));
  EXPECT_EQ(stat[0], stat[5]);  // it leads its session
  EXPECT_EQ(stat[18], "0");     // nice
  if (CPU_COUNT(&all) > 1) {
    EXPECT_NE(status["Cpus_allowed_list"].find_first_of("-,"), std::string::npos)
        << status["Cpus_allowed_list"];
  }
  // Nothing for the host to reap.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(LauncherTest, TellsWhyItFailed) {
  LaunchSpec spec;
  spec.program = "/no/such/program";
  const Status missing = launch_detached(spec).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find("/no/such/program"), std::string::npos);
  EXPECT_NE(missing.message().find("execute"), std::string::npos);
  spec.program = "/etc/passwd";
  EXPECT_EQ(launch_detached(spec).code(), Code::kPermissionDenied);
  spec.program = "/bin/true";
  spec.cgroup_procs_files = {"/no/such/cgroup.procs"};
  EXPECT_NE(launch_detached(spec).status().message().find("cgroup"), std::string::npos);
  spec.program = "true";
  EXPECT_EQ(launch_detached(spec).code(), Code::kInvalidArgument);
  EXPECT_TRUE(check_privileges().is_ok());
}

TEST(LauncherTest, WorksAmongBusyThreads) {
  std::atomic<bool> is_done{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 4; ++i) {
    busy.emplace_back([&] {
      while (!is_done) std::make_unique<std::string>(1000, 'x').reset();
    });
  }
  for (int i = 0; i < 20; ++i) {
    LaunchSpec spec;
    spec.program = "/bin/true";
    EXPECT_TRUE(launch_detached(spec).is_ok());
  }
  is_done = true;
  for (std::thread& thread : busy) thread.join();
}

TEST(ChildTest, RunsAndCollects) {
  auto output =
      run_program({"/bin/sh", {"-c", "echo out; echo err >&2; exit 3"}, {}}, Deadline::after_ms(10'000));
  ASSERT_TRUE(output.is_ok()) << output.status().to_string();
  EXPECT_EQ(output->exit.code, 3);
  EXPECT_EQ(output->stdout_text, "out\n");
  EXPECT_EQ(output->stderr_text, "err\n");
  auto much = run_program({"/bin/sh", {"-c", "head -c 300000 /dev/zero"}, {"PATH=/usr/bin:/bin"}},
                          Deadline::after_ms(10'000), 1000);
  ASSERT_TRUE(much.is_ok());
  EXPECT_EQ(much->stdout_text.size(), 1000U);
  EXPECT_EQ(much->exit.code, 0);
  EXPECT_EQ(run_program({"/no/such", {}, {}}, Deadline::after_ms(1000)).code(), Code::kNotFound);
}

TEST(ChildTest, IsKilledAtTheDeadline) {
  const int64_t began = boot_now_ns();
  auto late = run_program({"/bin/sleep", {"60"}, {}}, Deadline::after_ms(50));
  EXPECT_EQ(late.code(), Code::kDeadlineExceeded);
  EXPECT_LT(boot_now_ns() - began, 5'000'000'000);
  auto child = Child::spawn({"/bin/sh", {"-c", "kill -9 $$"}, {}});
  ASSERT_TRUE(child.is_ok());
  auto exit = child->wait(Deadline::after_ms(5000));
  ASSERT_TRUE(exit.is_ok());
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_EQ(exit->code, 137);
  EXPECT_EQ(child->kill(SIGTERM).code(), Code::kNotFound);
}

TEST(ChildTest, IsKilledWithItsSessionWhenTheCallIsCancelled) {
  const std::string file = temporary_file("pid");
  const ScopeGuard clean_up([&] { ::unlink(file.c_str()); });
  const auto cancel = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    while (!read_file(file).is_ok()) ::usleep(1000);
    cancel->fire();
  });
  // It has closed what is read of it: its end is waited for all the same.
  SpawnSpec spec = {"/bin/sh",
                    {"-c", "exec >&- 2>&-; sleep 1000 & echo $! >$0.new; mv $0.new $0; wait", file}};
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.new_session = true;
  EXPECT_EQ(run_program(spec, Deadline::after_ms(20'000), 100, cancel).code(), Code::kCancelled);
  canceller.join();
  const auto left = open_pidfd(std::stoi(*read_file(file)));
  EXPECT_TRUE(!left.is_ok() || wait_pidfd(left->get(), Deadline::after_ms(10'000)));
  EXPECT_EQ(run_program({"/bin/true", {}, {}}, Deadline::never(), 100, cancel).code(), Code::kCancelled);
  EXPECT_TRUE(
      run_program({"/bin/true", {}, {}}, Deadline::never(), 100, std::make_shared<CancelToken>()).is_ok());
}

TEST(ChildTest, WaitsForWhoeverStillWritesTheProgram) {
  const std::string file = temporary_file("program");
  const ScopeGuard clean_up([&] { ::unlink(file.c_str()); });
  ASSERT_TRUE(write_file_atomic(file, "#!/bin/sh\nexit 5\n", 0700, false).is_ok());
  UniqueFd writer = std::move(*open_file(file, O_WRONLY | O_APPEND));
  EXPECT_EQ(run_program({file, {}, {}}, Deadline::after_ms(10'000)).code(), Code::kInternal);
  std::thread closer([&] {
    ::usleep(20'000);
    writer.reset();
  });
  const auto output = run_program({file, {}, {}}, Deadline::after_ms(10'000));
  closer.join();
  ASSERT_TRUE(output.is_ok()) << output.status().to_string();
  EXPECT_EQ(output->exit.code, 5);
}

TEST(ChildTest, TellsWhenTheHostReapedIt) {
  auto child = Child::spawn({"/bin/true", {}, {}});
  ASSERT_TRUE(child.is_ok());
  EXPECT_TRUE(wait_pidfd(child->pidfd(), Deadline::after_ms(5000)));
  EXPECT_EQ(::waitpid(-1, nullptr, 0), child->pid());  // a careless host
  EXPECT_EQ(child->wait(Deadline::after_ms(5000)).code(), Code::kUnavailable);
}

TEST(ChildTest, PidfdAndStartTimeNameAProcess) {
  auto child = Child::spawn({"/bin/sleep", {"60"}, {}});
  ASSERT_TRUE(child.is_ok());
  auto ticks = process_start_ticks(child->pid());
  ASSERT_TRUE(ticks.is_ok());
  EXPECT_GT(*ticks, 0U);
  auto pidfd = open_pidfd(child->pid());
  ASSERT_TRUE(pidfd.is_ok());
  EXPECT_FALSE(wait_pidfd(pidfd->get(), Deadline::after_ms(0)));
  EXPECT_TRUE(signal_pidfd(pidfd->get(), SIGTERM).is_ok());
  EXPECT_TRUE(wait_pidfd(pidfd->get(), Deadline::after_ms(5000)));
  EXPECT_EQ(child->wait(Deadline::after_ms(5000))->code, 143);
  EXPECT_EQ(process_start_ticks(child->pid()).code(), Code::kNotFound);
}

TEST(OwnCgroupTest, LeavingWaitsForWhoIsEnding) {
  if (::geteuid() != 0) GTEST_SKIP() << "control groups are root's";
  const std::string group = "/pouch-test-" + std::to_string(::getpid()) + "/inner";
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd told(pipe[0]);
  UniqueFd tells(pipe[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool entered = enter_own_cgroup(group);
    [[maybe_unused]] const ssize_t said = ::write(tells.get(), "x", 1);
    ::usleep(100'000);
    ::_exit(entered ? 0 : 1);
  }
  tells.reset();
  char in = 0;
  ASSERT_EQ(::read(told.get(), &in, 1), 1);  // it is in the group of every hierarchy
  int status = -1;
  std::thread reaper([&] { ::waitpid(child, &status, 0); });
  leave_own_cgroup(group);
  reaper.join();
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(has_cgroup(group));
  remove_cgroup_tree(group.substr(0, group.rfind('/')));
}

}  // namespace
}  // namespace pouch::sys
