#include "core/events/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "core/api/codec.h"
#include "core/events/event_filter.h"

namespace pouch::events {
namespace {

using ::testing::ElementsAre;

class EventLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "pouch-events-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    database_ = open_database();
    log_ = open_log(*database_);
  }
  void TearDown() override {
    log_.reset();
    database_.reset();
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<store::Database> open_database() {
    auto database = store::Database::open(dir_ + "/pouch.db", Deadline::after_ms(5000));
    EXPECT_TRUE(database.is_ok()) << database.status().message();
    return std::move(*database);
  }
  std::unique_ptr<EventLog> open_log(store::Database& database) {
    auto log = EventLog::open(database, dir_ + "/bell");
    EXPECT_TRUE(log.is_ok()) << log.status().message();
    return std::move(*log);
  }
  static int64_t add(store::Database& database, EventLog& log, Event event) {
    auto transaction = database.begin(store::Durability::kBootScoped, {});
    EXPECT_TRUE(transaction.is_ok()) << transaction.status().message();
    const auto seq = log.append(*transaction, std::move(event));
    EXPECT_TRUE(seq.is_ok()) << seq.status().message();
    EXPECT_TRUE(transaction->commit().is_ok());
    return *seq;
  }
  int64_t add(const std::string& action, const std::string& id = "c1", Timestamp time = {}) {
    return add(*database_, *log_, {.time = time, .type = "container", .action = action, .actor_id = id});
  }
  StreamPtr subscribe(const api::SystemEventsOptions& options = {}) {
    auto stream = log_->subscribe(options, {});
    EXPECT_TRUE(stream.is_ok()) << stream.status().message();
    return std::move(*stream);
  }
  /// Actions of the next frames until the end or `count` of them.
  static std::vector<std::string> read(Stream& stream, size_t count = 1000) {
    std::vector<std::string> actions;
    Frame frame;
    while (actions.size() < count) {
      const auto next = stream.next(&frame, Deadline::after_ms(5000));
      EXPECT_TRUE(next.is_ok()) << next.status().message();
      if (!next.is_ok() || *next != Next::kFrame) break;
      actions.push_back(api::parse_document<api::EventMessage>(frame.data)->action);
    }
    return actions;
  }

  std::string dir_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<EventLog> log_;
};

TEST_F(EventLogTest, NumbersHaveNoGapAfterARollback) {
  EXPECT_EQ(add("create"), 1);
  {
    auto dropped = database_->begin(store::Durability::kBootScoped, {});
    EXPECT_EQ(*log_->append(*dropped, {.type = "container", .action = "start", .actor_id = "c1"}), 2);
  }
  EXPECT_EQ(add("die"), 2);
  EXPECT_EQ(*log_->last_seq(), 2);
}

TEST_F(EventLogTest, PastIsBounded) {
  auto transaction = database_->begin(store::Durability::kBootScoped, {});
  const int64_t count = EventLog::kKept + 1000;
  for (int64_t i = 0; i < count; ++i) {
    ASSERT_TRUE(log_->append(*transaction, {.type = "container", .action = "x", .actor_id = "c"}).is_ok());
  }
  ASSERT_TRUE(transaction->commit().is_ok());
  auto snapshot = database_->read();
  auto select = snapshot->prepare("SELECT count(*), max(seq) FROM events");
  ASSERT_TRUE(*select->step());
  EXPECT_LE(select->integer(0), EventLog::kKept + 256);
  EXPECT_EQ(select->integer(1), count);
}

TEST_F(EventLogTest, FollowerSeesAllAfterItsPositionInOrder) {
  add("create");
  std::mutex mutex;
  std::vector<int64_t> seen;
  const Follower follower = log_->follow(1, [&](const Event& event) {
    const std::lock_guard lock(mutex);
    seen.push_back(event.seq);
  });
  add("start");
  add("die");
  ASSERT_TRUE(log_->wait_for(0, {Deadline::after_ms(5000), nullptr, {}},
                             [](const Event& event) { return event.action == "die"; })
                  .is_ok());
  const std::lock_guard lock(mutex);
  EXPECT_THAT(seen, ElementsAre(2, 3));
}

TEST_F(EventLogTest, FollowerThatComesLateIsToldTheMissed) {
  const Follower keeps_watching = log_->follow(0, [](const Event&) {});
  for (int i = 0; i < 20; ++i) {
    const int64_t seq = add("start");
    const int64_t start = boot_now_ns();
    // The watching thread has heard of it already, or not: both must do.
    const auto found =
        log_->wait_for(seq - 1, {Deadline::after_ms(5000), nullptr, {}}, [](const Event&) { return true; });
    ASSERT_EQ(*found, seq);
    EXPECT_LT(boot_now_ns() - start, 500'000'000) << "only the poll found it";
  }
}

TEST_F(EventLogTest, AnotherHandlesEventsWakeThisOnesFollowers) {
  const auto other_database = open_database();
  const auto other_log = open_log(*other_database);
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    add(*other_database, *other_log, {.type = "container", .action = "die", .actor_id = "c1"});
  });
  const int64_t start = boot_now_ns();
  EXPECT_EQ(*log_->wait_for_change(0, {Deadline::after_ms(5000), nullptr, {}}), 1);
  EXPECT_LT(boot_now_ns() - start, 500'000'000);
  writer.join();
}

TEST_F(EventLogTest, WaitEndsWithDeadlineAndCancel) {
  EXPECT_EQ(log_->wait_for_change(0, {Deadline::after_ms(20), nullptr, {}}).code(), Code::kDeadlineExceeded);
  auto cancel = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel->fire();
  });
  EXPECT_EQ(log_->wait_for_change(0, {Deadline::never(), cancel, {}}).code(), Code::kCancelled);
  canceller.join();
}

TEST_F(EventLogTest, FollowerMayEndItselfAndIsQuietAfterwards) {
  std::atomic<int> calls = 0;
  Follower follower;
  std::mutex mutex;
  {
    const std::lock_guard lock(mutex);
    follower = log_->follow(0, [&](const Event&) {
      ++calls;
      const std::lock_guard inner(mutex);
      follower.cancel();
    });
  }
  add("a");
  add("b");
  const auto last = log_->wait_for(0, {Deadline::after_ms(5000), nullptr, {}},
                                   [](const Event& event) { return event.action == "b"; });
  EXPECT_TRUE(last.is_ok());
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLogTest, StreamBeginsWhenItIsOpen) {
  add("create");
  const StreamPtr stream = subscribe();
  EXPECT_EQ(log_->subscribers(), 1);
  add("start");
  EXPECT_THAT(read(*stream, 1), ElementsAre("start"));
  stream->cancel();
  EXPECT_EQ(log_->subscribers(), 0);
}

TEST_F(EventLogTest, PastThenNewOnes) {
  add("old", "c1", Timestamp{1'000});
  add("create", "c1", Timestamp{2'000});
  add("start", "c1", Timestamp{3'000});
  api::SystemEventsOptions options;
  options.since = Timestamp{2'000};
  const StreamPtr stream = subscribe(options);
  EXPECT_THAT(read(*stream, 2), ElementsAre("create", "start"));
  add("die");
  EXPECT_THAT(read(*stream, 1), ElementsAre("die"));
}

TEST_F(EventLogTest, UntilInThePastEndsTheStream) {
  add("create", "c1", Timestamp{2'000});
  add("die", "c1", Timestamp{9'000});
  api::SystemEventsOptions options;
  options.since = Timestamp{1'000};
  options.until = Timestamp{5'000};
  EXPECT_THAT(read(*subscribe(options)), ElementsAre("create"));
  options.since.reset();
  const int64_t start = boot_now_ns();
  EXPECT_THAT(read(*subscribe(options)), ElementsAre());
  EXPECT_LT(boot_now_ns() - start, 500'000'000) << "only the poll ended it";
}

TEST_F(EventLogTest, UntilInTheFutureEndsTheStreamThen) {
  api::SystemEventsOptions options;
  options.until = Timestamp{Timestamp::now().ns + 100'000'000};
  const int64_t start = boot_now_ns();
  const StreamPtr stream = subscribe(options);
  add("start");
  EXPECT_THAT(read(*stream), ElementsAre("start"));
  const int64_t took = boot_now_ns() - start;
  EXPECT_GE(took, 90'000'000);
  EXPECT_LT(took, 600'000'000);
  EXPECT_EQ(log_->subscribers(), 0);
}

TEST_F(EventLogTest, FilteredStream) {
  api::SystemEventsOptions options;
  options.filters = FilterMap{{"container", {"c2"}}, {"event", {"die"}}};
  const StreamPtr stream = subscribe(options);
  add("die", "c1");
  add("start", "c2");
  add("die", "c2");
  Frame frame;
  ASSERT_EQ(*stream->next(&frame, Deadline::after_ms(5000)), Next::kFrame);
  const auto message = api::parse_document<api::EventMessage>(frame.data);
  EXPECT_EQ(message->actor.id, "c2");
  EXPECT_EQ(message->status, "die");
  EXPECT_EQ(message->scope, "local");
  EXPECT_EQ(*message->time_nano / 1'000'000'000, *message->time);
}

TEST_F(EventLogTest, LargePastLosesNothing) {
  auto transaction = database_->begin(store::Durability::kBootScoped, {});
  const std::string label(500, 'x');
  for (int64_t i = 0; i < 5000; ++i) {  // 2.5 MB, more than the queue holds
    ASSERT_TRUE(log_->append(*transaction, {.type = "container",
                                            .action = std::to_string(i),
                                            .actor_id = "c",
                                            .attributes = {{"label", label}}})
                    .is_ok());
  }
  ASSERT_TRUE(transaction->commit().is_ok());
  api::SystemEventsOptions options;
  options.since = Timestamp{1};
  const StreamPtr stream = subscribe(options);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto actions = read(*stream, 5000);
  ASSERT_EQ(actions.size(), 5000U);
  EXPECT_EQ(actions.back(), "4999");
}

TEST_F(EventLogTest, BadOptionsAreRefused) {
  api::SystemEventsOptions options;
  options.filters = FilterMap{{"colour", {"red"}}};
  EXPECT_EQ(log_->subscribe(options, {}).code(), Code::kInvalidArgument);
  options = {};
  options.since = Timestamp{2};
  options.until = Timestamp{1};
  EXPECT_EQ(log_->subscribe(options, {}).code(), Code::kInvalidArgument);
}

TEST_F(EventLogTest, EndOfTheLogEndsItsStreams) {
  const StreamPtr stream = subscribe();
  api::SystemEventsOptions options;
  options.since = Timestamp{1};
  const StreamPtr other = subscribe(options);
  log_.reset();
  Frame frame;
  EXPECT_EQ(stream->next(&frame, Deadline::after_ms(5000)).code(), Code::kClosed);
  EXPECT_EQ(other->next(&frame, Deadline::after_ms(5000)).code(), Code::kClosed);
}

}  // namespace
}  // namespace pouch::events
