#include "core/store/migrate.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "core/store/database.h"

namespace pouch::store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Builds of three versions: today's, one with an additive migration more, one with another kind of
/// migration.
class MigrateTest : public ::testing::Test {
 protected:
  static constexpr const char* kSql =
      "CREATE TABLE things (id TEXT PRIMARY KEY); ALTER TABLE containers ADD COLUMN note TEXT DEFAULT "
      "'none';";

  MigrateTest() {
    const Schema& ours = our_schema();
    for (auto* list : {&additive_, &alone_}) list->assign(ours.migrations.begin(), ours.migrations.end());
    additive_.push_back({ours.format() + 1, 0, 0, kSql});
    alone_.push_back({ours.format() + 1, 0, ours.format() + 1, kSql});
    next_ = {ours.first, additive_};
    other_ = {ours.first, alone_};
  }
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "pouch-migrate-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  Result<std::unique_ptr<Database>> open(const Schema& schema) const {
    return Database::open(dir_ + "/pouch.db", Deadline::after_ms(10'000), schema);
  }
  static int64_t number(Database& database, const char* key) {
    auto snapshot = database.read();
    auto find = snapshot->prepare("SELECT value FROM root WHERE key=?");
    find->bind(key);
    return *find->step() ? find->integer(0) : -1;
  }
  static Status add_container(Database& database, const char* id) {
    POUCH_ASSIGN_OR_RETURN(Transaction transaction, database.begin(Durability::kBootScoped, {}));
    POUCH_RETURN_IF_ERROR(
        transaction
            .run("INSERT INTO containers(id, state, config_json, host_config_json, created_ns) "
                 "VALUES(?, 'created', '{}', '{}', 1)",
                 id)
            .status());
    return transaction.commit();
  }

  std::vector<Migration> additive_;
  std::vector<Migration> alone_;
  Schema next_{};
  Schema other_{};
  std::string dir_;
};

TEST_F(MigrateTest, ThereIsAWayToEachFormatAndOnlyOthersRaiseTheMinimums) {
  int64_t format = 1;
  for (const Migration& step : our_schema().migrations) {
    EXPECT_EQ(step.to_format, ++format);
    if (step.is_additive()) continue;
    EXPECT_EQ(std::max(step.min_reader, step.min_writer), step.to_format);
  }
}

// What a later version has made of an older root is what it makes of a new one.
TEST_F(MigrateTest, NewAndMigratedRootsAreAlike) {
  const auto tables = [](Database& database) {
    std::vector<std::string> all;
    auto snapshot = database.read();
    auto rows = snapshot->prepare("SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1");
    while (*rows->step()) all.push_back(rows->text(0));
    return all;
  };
  const std::vector<std::string> made = tables(**open(next_));
  std::filesystem::remove_all(dir_);
  std::filesystem::create_directory(dir_);
  const Schema first{our_schema().first, {}};
  ASSERT_TRUE(open(first).is_ok());
  ASSERT_TRUE(open(our_schema()).is_ok());
  EXPECT_EQ(tables(**open(next_)), made);
}

TEST_F(MigrateTest, AnAdditiveOneRunsWhileOthersGoOn) {
  const auto older = open(our_schema());
  ASSERT_TRUE(older.is_ok());
  ASSERT_TRUE(add_container(**older, "c1").is_ok());
  const auto newer = open(next_);
  ASSERT_TRUE(newer.is_ok()) << newer.status().message();
  EXPECT_EQ(number(**newer, "format"), next_.format());
  EXPECT_EQ(number(**newer, "min_reader"), 1);
  EXPECT_EQ(number(**newer, "min_writer"), 1);
  EXPECT_TRUE(add_container(**older, "c2").is_ok());
  EXPECT_TRUE(add_container(**newer, "c3").is_ok());
  // And one that comes later finds a root newer than itself.
  const auto late = open(our_schema());
  ASSERT_TRUE(late.is_ok()) << late.status().message();
  EXPECT_EQ(number(**late, "format"), next_.format());
  EXPECT_TRUE(add_container(**late, "c4").is_ok());
}

TEST_F(MigrateTest, ManyMigrateAtOnce) {
  ASSERT_TRUE(open(our_schema()).is_ok());
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(open(i % 2 == 0 ? next_ : our_schema()).is_ok() ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(MigrateTest, AnotherOneNeedsTheRootAloneAndNamesTheOthers) {
  ASSERT_TRUE(open(our_schema()).is_ok());
  int tell[2] = {};
  ASSERT_EQ(::pipe2(tell, O_CLOEXEC), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const auto opened = open(our_schema());
    ::write(tell[1], opened.is_ok() ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char told = 0;
  ASSERT_EQ(::read(tell[0], &told, 1), 1);
  ASSERT_EQ(told, 'y');
  const auto refused = open(other_);
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_THAT(refused.status().message(), HasSubstr("needs it alone"));
  EXPECT_THAT(refused.status().message(), HasSubstr("pid " + std::to_string(other) + ";"));
  EXPECT_EQ(number(**open(our_schema()), "format"), our_schema().format());

  ::kill(other, SIGKILL);
  ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  ::close(tell[0]);
  ::close(tell[1]);
  const auto alone = open(other_);
  ASSERT_TRUE(alone.is_ok()) << alone.status().message();
  EXPECT_EQ(number(**alone, "min_writer"), other_.format());
  EXPECT_TRUE(open(other_).is_ok());  // it shares again
  const auto older = open(our_schema());
  EXPECT_EQ(older.code(), Code::kConflict);
  EXPECT_THAT(older.status().message(), HasSubstr("it needs a Pouch that knows format"));
}

TEST_F(MigrateTest, ThisProcessMayBeTheOther) {
  const auto here = open(our_schema());
  const auto refused = open(other_);
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_THAT(refused.status().message(), HasSubstr("this process has it open elsewhere"));
  EXPECT_THAT(refused.status().message(), Not(HasSubstr("pid ")));
}

TEST_F(MigrateTest, AFailedOneLeavesEverythingAsItWas) {
  ASSERT_TRUE(open(our_schema()).is_ok());
  additive_.back().sql = "CREATE TABLE things (id TEXT); CREATE TABLE things (id TEXT);";
  const Schema broken{our_schema().first, additive_};
  const auto failed = open(broken);
  EXPECT_THAT(failed.status().message(), HasSubstr("migrate to format"));
  const auto again = open(our_schema());
  EXPECT_EQ(number(**again, "format"), our_schema().format());
  additive_.back().sql = kSql;
  EXPECT_TRUE(open(Schema{our_schema().first, additive_}).is_ok());
}

}  // namespace
}  // namespace pouch::store
