#include "core/base/log.h"

#include <gtest/gtest.h>

#include <vector>

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
  EXPECT_NE(format_log_line(records[0]).find(" warning test [c1]: loud"), std::string::npos);
}

TEST(Log, LevelNames) {
  EXPECT_EQ(*log_level_from_name("debug"), LogLevel::kDebug);
  EXPECT_EQ(log_level_from_name("loud"), nullptr);
}

}  // namespace
}  // namespace pouch
