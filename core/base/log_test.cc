#include "core/base/log.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "core/base/executor.h"

namespace pouch {
namespace {

TEST(Log, SinksGetWhatTheyAskFor) {
  EXPECT_FALSE(is_log_enabled(LogLevel::kError));
  std::vector<LogRecord> records;
  const int id =
      add_log_sink(LogLevel::kWarning, [&](const LogRecord& record) { records.push_back(record); });
  log_info("test", "quiet");
  log_warning("test", "loud", "c1");
  remove_log_sink(id);
  log_error("test", "after");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].message, "loud");
  EXPECT_NE(
      format_log_line(records[0]).find(" warning test[" + std::to_string(::getpid()) + "] object=c1: loud"),
      std::string::npos);
}

TEST(Log, ScopeNamesWhatRecordsAreAbout) {
  std::vector<LogRecord> records;
  const int id = add_log_sink(LogLevel::kInfo, [&](const LogRecord& record) { records.push_back(record); });
  {
    const LogScoped outer({"root1", "c1", "r1"});
    {
      const LogScoped inner({{}, "c2", {}});
      log_info("test", "inner");
      log_info("test", "own", "c3");
    }
    log_info("test", "outer");
    Executor executor;
    std::promise<void> done;
    executor.submit([&done] {
      log_info("test", "task");
      done.set_value();
    });
    done.get_future().wait();
    executor.stop();
  }
  log_info("test", "none");
  remove_log_sink(id);
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(records[0].root + records[0].object + records[0].request_id, "root1c2r1");
  EXPECT_EQ(records[1].object, "c3");
  EXPECT_EQ(records[2].object, "c1");
  EXPECT_EQ(records[3].request_id, "r1");
  EXPECT_EQ(records[4].root + records[4].object + records[4].request_id, "");
  EXPECT_NE(format_log_line(records[0]).find(" root=root1 object=c2 request=r1: inner"), std::string::npos);
}

TEST(Log, ASinkThatLogsIsNotCalledByItself) {
  int calls = 0;
  const int id = add_log_sink(LogLevel::kInfo, [&](const LogRecord&) {
    ++calls;
    log_info("test", "again");
  });
  log_info("test", "once");
  remove_log_sink(id);
  EXPECT_EQ(calls, 1);
}

// A thread of the parent is inside a sink, with the list locked, at the moment of the fork.
TEST(Log, ChildOfForkBeginsWithoutSinksAndLocks) {
  std::promise<void> inside;
  std::promise<void> go_on;
  const int id = add_log_sink(LogLevel::kInfo, [&](const LogRecord&) {
    inside.set_value();
    go_on.get_future().wait();
  });
  std::thread logging([] { log_info("test", "fork"); });
  inside.get_future().wait();
  const pid_t child = ::fork();
  if (child == 0) {
    log_info("test", "nobody hears it");
    int heard = 0;
    const int own = add_log_sink(LogLevel::kInfo, [&](const LogRecord&) { ++heard; });
    log_info("test", "mine");
    remove_log_sink(own);
    ::_exit(heard == 1 && !is_log_enabled(LogLevel::kError) ? 0 : 1);
  }
  go_on.set_value();
  logging.join();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  remove_log_sink(id);
}

TEST(Log, LevelNames) {
  EXPECT_EQ(*log_level_from_name("debug"), LogLevel::kDebug);
  EXPECT_EQ(log_level_from_name("loud"), nullptr);
}

// exit() destroys the thread_local objects of its thread before it calls these handlers.
TEST(Log, ACallInAHandlerOfExitHasAScope) {
  const auto use = [] {
    const LogScoped scoped(
        {"a root whose name is long enough for the heap", "", "a request with a long name"});
    if (current_log_scope().root.empty()) ::_exit(2);
  };
  EXPECT_EXIT(
      {
        use();
        std::atexit(use);
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace pouch
