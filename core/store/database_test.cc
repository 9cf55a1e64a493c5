#include "core/store/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/store/schema.h"
#include "core/store/session_objects.h"

namespace pouch::store {
namespace {

using ::testing::HasSubstr;

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "pouch-store-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    database_ = open();
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(dir_);
  }

  std::string path() const { return dir_ + "/pouch.db"; }
  std::unique_ptr<Database> open() {
    auto opened = Database::open(path(), Deadline::after_ms(5000));
    EXPECT_TRUE(opened.is_ok()) << opened.status().message();
    return opened.is_ok() ? std::move(*opened) : nullptr;
  }
  Transaction begin(Durability durability = Durability::kBootScoped) {
    auto begun = database_->begin(durability, {});
    EXPECT_TRUE(begun.is_ok()) << begun.status().message();
    return std::move(*begun);
  }
  void set(const std::string& key, const std::string& value) {
    Transaction transaction = begin();
    ASSERT_TRUE(transaction.run("INSERT INTO root(key,value) VALUES(?,?)", key, value).is_ok());
    ASSERT_TRUE(transaction.commit().is_ok());
  }
  static std::optional<std::string> get(Database& database, const std::string& key) {
    auto snapshot = database.read();
    EXPECT_TRUE(snapshot.is_ok()) << snapshot.status().message();
    auto find = snapshot->prepare("SELECT value FROM root WHERE key=?");
    EXPECT_TRUE(find.is_ok()) << find.status().message();
    find->bind(key);
    const auto found = find->step();
    EXPECT_TRUE(found.is_ok());
    return *found ? find->optional_text(0) : std::nullopt;
  }

  std::string dir_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, NewFileHasFormatAndIsPrivate) {
  EXPECT_EQ(get(*database_, "format"), std::to_string(our_schema().format()));
  struct stat facts {};
  for (const char* suffix : {"", "-wal", "-shm"}) {
    ASSERT_EQ(::stat((path() + suffix).c_str(), &facts), 0) << suffix;
    EXPECT_EQ(facts.st_mode & 0777U, 0600U) << suffix;
  }
}

TEST_F(DatabaseTest, TypesComeBackAsTheyWere) {
  Transaction transaction = begin();
  auto select = transaction.prepare("SELECT ?,?,?,?,?,?,?,?");
  ASSERT_TRUE(select.is_ok()) << select.status().message();
  const std::string bytes("a\0b", 3);
  select->bind(int64_t{1} << 62, true, 0.5, bytes, nullptr, std::optional<int64_t>(), Timestamp{},
               Timestamp{5});
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->integer(0), int64_t{1} << 62);
  EXPECT_TRUE(select->boolean(1));
  EXPECT_EQ(select->real(2), 0.5);
  EXPECT_EQ(select->text(3), bytes);
  for (const int column : {4, 5, 6}) EXPECT_TRUE(select->is_null(column)) << column;
  EXPECT_TRUE(select->time(6).is_zero());
  EXPECT_EQ(select->time(7).ns, 5);
  EXPECT_FALSE(*select->step());
}

TEST_F(DatabaseTest, EmptyTextIsNotNull) {
  set("empty", "");
  EXPECT_EQ(get(*database_, "empty"), "");
}

TEST_F(DatabaseTest, WithoutCommitNothingStays) {
  {
    Transaction transaction = begin();
    ASSERT_TRUE(transaction.run("INSERT INTO root(key,value) VALUES('a','1')").is_ok());
  }
  EXPECT_EQ(get(*database_, "a"), std::nullopt);
}

TEST_F(DatabaseTest, CallbackRunsAfterCommitOnly) {
  int rung = 0;
  {
    Transaction dropped = begin();
    dropped.on_commit([&] { ++rung; });
  }
  EXPECT_EQ(rung, 0);
  Transaction transaction = begin();
  transaction.on_commit([&] { ++rung; });
  ASSERT_TRUE(transaction.commit().is_ok());
  EXPECT_EQ(rung, 1);
}

TEST_F(DatabaseTest, CompareAndSwapTellsWhoWon) {
  set("state", "created");
  Transaction transaction = begin();
  const char* swap = "UPDATE root SET value=? WHERE key='state' AND value=?";
  EXPECT_EQ(*transaction.run(swap, "starting", "created"), 1);
  EXPECT_EQ(*transaction.run(swap, "starting", "created"), 0);
}

TEST_F(DatabaseTest, UniqueViolationIsAlreadyExists) {
  set("a", "1");
  Transaction transaction = begin();
  const auto again = transaction.run("INSERT INTO root(key,value) VALUES('a','2')");
  EXPECT_EQ(again.code(), Code::kAlreadyExists);
  EXPECT_THAT(again.status().message(), HasSubstr(path()));
}

TEST_F(DatabaseTest, ForeignKeysHold) {
  Transaction transaction = begin();
  EXPECT_EQ(transaction.run("INSERT INTO image_references(reference,image_id) VALUES('x','none')").code(),
            Code::kInternal);
}

TEST_F(DatabaseTest, SnapshotDoesNotSeeLaterCommits) {
  auto snapshot = database_->read();
  ASSERT_TRUE(snapshot.is_ok());
  const auto count = [&] {
    auto select = snapshot->prepare("SELECT count(*) FROM root");
    EXPECT_TRUE(*select->step());
    return select->integer(0);
  };
  const int64_t before = count();
  set("later", "1");
  EXPECT_EQ(count(), before);
}

TEST_F(DatabaseTest, NestedUseOfOneTextWorks) {
  auto snapshot = database_->read();
  auto outer = snapshot->prepare("SELECT key FROM root");
  auto inner = snapshot->prepare("SELECT key FROM root");
  ASSERT_TRUE(*outer->step());
  ASSERT_TRUE(*inner->step());
  EXPECT_EQ(outer->text(0), inner->text(0));
}

TEST_F(DatabaseTest, WriterOfThisProcessIsWaitedForUntilTheDeadline) {
  Transaction first = begin();
  std::thread other([&] {
    const auto second = database_->begin(Durability::kBootScoped, {Deadline::after_ms(30), nullptr, {}});
    EXPECT_EQ(second.code(), Code::kDeadlineExceeded);
  });
  other.join();
}

TEST_F(DatabaseTest, WriterOfAnotherHandleIsWaitedForUntilTheDeadline) {
  const auto other = open();
  Transaction first = begin();
  const int64_t start = boot_now_ns();
  const auto second = other->begin(Durability::kBootScoped, {Deadline::after_ms(30), nullptr, {}});
  EXPECT_EQ(second.code(), Code::kDeadlineExceeded) << second.status().message();
  EXPECT_GE(boot_now_ns() - start, 29'000'000);
}

TEST_F(DatabaseTest, CancelledWriterIsFreedSoon) {
  const auto other = open();
  Transaction first = begin();
  auto cancel = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel->fire();
  });
  // The first writer never ends, so that only the cancelling can have freed it.
  EXPECT_EQ(other->begin(Durability::kBootScoped, {Deadline::never(), cancel, {}}).code(), Code::kCancelled);
  canceller.join();
}

TEST_F(DatabaseTest, ManyThreadsAndHandlesLoseNothing) {
  set("n", "0");
  const auto other = open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Database& mine = t % 2 == 0 ? *database_ : *other;
      for (int i = 0; i < 50; ++i) {
        auto transaction = mine.begin(Durability::kBootScoped, {});
        ASSERT_TRUE(transaction.is_ok()) << transaction.status().message();
        ASSERT_EQ(*transaction->run("UPDATE root SET value=value+1 WHERE key='n'"), 1);
        ASSERT_TRUE(transaction->commit().is_ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(get(*database_, "n"), "200");
}

TEST_F(DatabaseTest, KeptCommitsOfManyThreadsShareSyncs) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        auto transaction = database_->begin(Durability::kKept, {});
        ASSERT_TRUE(transaction.is_ok()) << transaction.status().message();
        const std::string key = std::to_string(t) + "-" + std::to_string(i);
        ASSERT_TRUE(transaction->run("INSERT INTO root(key,value) VALUES(?,'kept')", key).is_ok());
        ASSERT_TRUE(transaction->commit().is_ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto snapshot = database_->read();
  auto count = snapshot->prepare("SELECT count(*) FROM root WHERE value='kept'");
  ASSERT_TRUE(*count->step());
  EXPECT_EQ(count->integer(0), 40);
}

TEST_F(DatabaseTest, LogIsCopiedBackAndStaysSmall) {
  const std::string text(4000, 'x');  // about a page each
  for (int round = 0; round < 8; ++round) {
    Transaction transaction = begin();
    for (int i = 0; i < 1200; ++i) {
      const std::string key = std::to_string(round) + "-" + std::to_string(i);
      ASSERT_TRUE(transaction.run("INSERT INTO root(key,value) VALUES(?,?)", key, text).is_ok());
    }
    ASSERT_TRUE(transaction.commit().is_ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the copying goes on beside
  }
  EXPECT_GT(std::filesystem::file_size(path()), 8U * 1200 * 4000 / 2);
  EXPECT_LT(std::filesystem::file_size(path() + "-wal"), 8U * 1200 * 4000 / 2);
}

TEST_F(DatabaseTest, ManyOpenersOfANewFile) {
  database_.reset();
  std::filesystem::remove_all(dir_);
  std::filesystem::create_directory(dir_);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      if (open() != nullptr) ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 6);
}

TEST_F(DatabaseTest, ChildOfForkIsToldAndParentGoesOn) {
  set("a", "1");
  const pid_t child = ::fork();
  if (child == 0) {
    const bool told = database_->read().code() == Code::kForked &&
                      database_->begin(Durability::kKept, {}).code() == Code::kForked;
    database_.reset();
    auto own = Database::open(path(), Deadline::after_ms(1000));
    ::_exit(told && own.is_ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(get(*database_, "a"), "1");
  set("b", "2");
}

// What SQLite knows of the parent's locks is not true in the child, and these are let go without its knowing.
TEST_F(DatabaseTest, ChildOfForkWritesAfterTheParentsTransaction) {
  std::optional<Transaction> transaction = begin();
  const Snapshot snapshot = *database_->read();
  ASSERT_TRUE(transaction->run("INSERT INTO root(key,value) VALUES('parent','1')").is_ok());
  const pid_t child = ::fork();
  if (child == 0) {
    auto own = Database::open(path(), Deadline::after_ms(20'000));
    if (!own.is_ok()) ::_exit(1);
    const pid_t grandchild = ::fork();  // which inherits two kinds of connections
    auto database = grandchild != 0 ? std::move(*own) : *Database::open(path(), Deadline::after_ms(20'000));
    auto mine = database->begin(Durability::kKept, {Deadline::after_ms(20'000), nullptr, {}});
    if (!mine.is_ok()) ::_exit(2);
    const char* key = grandchild == 0 ? "grandchild" : "child";
    if (!mine->run("INSERT INTO root(key,value) VALUES(?,'1')", key).is_ok()) ::_exit(3);
    if (!mine->commit().is_ok() || get(*database, "parent") != "1") ::_exit(4);
    int status = 0;
    if (grandchild != 0 && ::waitpid(grandchild, &status, 0) != grandchild) ::_exit(5);
    ::_exit(WEXITSTATUS(status));
  }
  ASSERT_TRUE(transaction->commit().is_ok());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(get(*database_, "child"), "1");
  EXPECT_EQ(get(*database_, "grandchild"), "1");
}

// Threads of the parent are in the midst of SQLite at the moment of each fork.
TEST_F(DatabaseTest, ManyForksAmidWork) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer forbids threads in a forked child";
#endif
  std::atomic<bool> over{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !over; ++i) {
        auto transaction = database_->begin(Durability::kBootScoped, {});
        const std::string key = std::to_string(t) + "." + std::to_string(i);
        if (!transaction.is_ok() ||
            !transaction->run("INSERT INTO root(key,value) VALUES(?,'')", key).is_ok() ||
            !transaction->commit().is_ok()) {
          ++failures;
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);  // ends a child that stands still
      auto own = Database::open(path(), Deadline::after_ms(50'000));
      if (!own.is_ok()) ::_exit(1);
      auto transaction = (*own)->begin(Durability::kBootScoped, {});
      const std::string key = "child." + std::to_string(i);
      const bool done = transaction.is_ok() &&
                        transaction->run("INSERT INTO root(key,value) VALUES(?,'')", key).is_ok() &&
                        transaction->commit().is_ok();
      ::_exit(done ? 0 : 2);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "child " << i;
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

TEST_F(DatabaseTest, NothingIsMadeInASessionThatHasEnded) {
  const auto claim = [this](const std::string& session, const char* key) -> Status {
    POUCH_ASSIGN_OR_RETURN(Transaction transaction, database_->begin(Durability::kBootScoped, {}));
    POUCH_RETURN_IF_ERROR(claim_for_session(transaction, session, kind::kContainer, key));
    return transaction.commit();
  };
  EXPECT_TRUE(claim("", "c0").is_ok());
  EXPECT_EQ(claim("aa", "c1").code(), Code::kClosed);
  {
    auto transaction = *database_->begin(Durability::kBootScoped, {});
    ASSERT_TRUE(transaction.run("INSERT INTO sessions(id, created_ns) VALUES('aa', 1)").is_ok());
    ASSERT_TRUE(transaction.commit().is_ok());
  }
  EXPECT_TRUE(claim("aa", "c1").is_ok());
  EXPECT_TRUE(claim("aa", "c1").is_ok());
  {
    auto transaction = *database_->begin(Durability::kBootScoped, {});
    EXPECT_EQ(*objects_of_session(transaction, "aa", kind::kContainer), std::vector<std::string>{"c1"});
    EXPECT_EQ(*sessions_of_object(transaction, kind::kContainer, "c1"), std::vector<std::string>{"aa"});
    ASSERT_TRUE(mark_session_ended(transaction, "aa").is_ok());
    EXPECT_FALSE(*forget_session(transaction, "aa"));
    ASSERT_TRUE(transaction.commit().is_ok());
  }
  EXPECT_EQ(claim("aa", "c2").code(), Code::kClosed);
  {
    auto transaction = *database_->begin(Durability::kBootScoped, {});
    ASSERT_TRUE(disclaim(transaction, "aa", kind::kContainer, "c1").is_ok());
    EXPECT_TRUE(*forget_session(transaction, "aa"));
    EXPECT_TRUE(all_sessions(transaction)->empty());
    ASSERT_TRUE(transaction.commit().is_ok());
  }
}

// As a build that knows no sessions does it.
TEST_F(DatabaseTest, ARemovedObjectLeavesItsSession) {
  auto transaction = *database_->begin(Durability::kBootScoped, {});
  ASSERT_TRUE(transaction.run("INSERT INTO sessions(id, created_ns) VALUES('aa', 1)").is_ok());
  ASSERT_TRUE(transaction
                  .run("INSERT INTO containers(id, state, config_json, host_config_json, created_ns) "
                       "VALUES('c1', 'created', '{}', '{}', 1)")
                  .is_ok());
  ASSERT_TRUE(transaction
                  .run("INSERT INTO execs(id, container_id, generation, state, config_json, created_ns) "
                       "VALUES('e1', 'c1', 1, 'created', '{}', 1)")
                  .is_ok());
  ASSERT_TRUE(claim_for_session(transaction, "aa", kind::kContainer, "c1").is_ok());
  ASSERT_TRUE(claim_for_session(transaction, "aa", kind::kExec, "e1").is_ok());
  EXPECT_FALSE(*forget_session(transaction, "aa"));
  ASSERT_TRUE(transaction.run("DELETE FROM containers").is_ok());
  EXPECT_TRUE(*forget_session(transaction, "aa"));
}

TEST_F(DatabaseTest, FormerFormatIsMigratedWhileOthersHaveItOpen) {
  set("kept", "1");
  {
    Transaction transaction = begin();
    for (const char* sql :
         {"DROP TRIGGER session_volume_gone", "DROP TABLE container_mounts", "DROP TABLE volumes",
          "DROP TRIGGER endpoint_renamed", "DROP TRIGGER session_network_gone", "DROP TABLE endpoint_names",
          "DROP TABLE endpoints", "DROP TABLE network_pools", "DROP TABLE networks",
          "UPDATE root SET value='2' WHERE key='format'"}) {
      ASSERT_TRUE(transaction.run(sql).is_ok()) << sql;
    }
    ASSERT_TRUE(transaction.commit().is_ok());
  }
  const auto opened = Database::open(path(), Deadline::after_ms(10'000));
  ASSERT_TRUE(opened.is_ok()) << opened.status().message();
  EXPECT_EQ(get(**opened, "format"), std::to_string(our_schema().format()));
  EXPECT_EQ(get(**opened, "kept"), "1");
  for (Database* database : {opened->get(), database_.get()}) {
    auto snapshot = database->read();
    EXPECT_TRUE(snapshot->run("SELECT address FROM endpoints").is_ok());
  }
}

TEST_F(DatabaseTest, TooNewFormatIsRefused) {
  {
    Transaction transaction = begin();
    ASSERT_TRUE(transaction.run("UPDATE root SET value='99' WHERE key='min_writer'").is_ok());
    ASSERT_TRUE(transaction.run("UPDATE root SET value='99' WHERE key='format'").is_ok());
    ASSERT_TRUE(transaction.commit().is_ok());
  }
  const auto opened = Database::open(path(), Deadline::after_ms(1000));
  EXPECT_EQ(opened.code(), Code::kConflict);
  EXPECT_THAT(opened.status().message(), HasSubstr("newer Pouch"));
}

TEST_F(DatabaseTest, DamagedFileIsDataLoss) {
  database_.reset();
  std::filesystem::remove(path() + "-wal");
  std::filesystem::remove(path() + "-shm");
  std::ofstream(path()) << "this is no database, and long enough that it could be one: "
                           "0123456789 0123456789 0123456789";
  EXPECT_EQ(Database::open(path(), Deadline::after_ms(1000)).code(), Code::kDataLoss);
}

TEST(DatabaseOpen, NamesTheFileItCannotOpen) {
  const auto opened = Database::open("/nonexistent/pouch.db", Deadline::after_ms(100));
  EXPECT_EQ(opened.code(), Code::kNotFound);
  EXPECT_THAT(opened.status().message(), HasSubstr("/nonexistent/pouch.db"));
}

}  // namespace
}  // namespace pouch::store
