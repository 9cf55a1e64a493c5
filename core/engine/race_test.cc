#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <span>

#include "core/api/codec.h"
#include "core/engine/testing/engine_fixture.h"
#include "core/store/database.h"

// Eight processes work on the same names of one root. In each round everybody does the same thing at the same
// moment, and one must win; then everybody does what chance says. POUCH_RACE_SEED and POUCH_RACE_ROUNDS make
// it longer (tests/long/race).

namespace pouch {
namespace {

constexpr int kProcesses = 8;
constexpr int kMaxRounds = 2000;
constexpr int kWritesPerPhase = 4;
constexpr int64_t kDeadlineMs = 60'000;
// How late a call may come back on a machine with other work; 50 ms is what is promised on a free one.
constexpr int64_t kSlackMs = 5'000;

// All do the same in each phase, but for the mix, which keeps the container, and the churn on two other
// names.
enum Phase { kCreate, kStart, kMix, kStop, kRename, kRemove, kChurn, kPhases };
constexpr std::array<const char*, kPhases> kPhaseNames = {"create", "start",  "mix",  "stop",
                                                          "rename", "remove", "churn"};
enum class Op { kStart, kStop, kKill, kRename, kInspect, kList, kCreate, kRemove, kCount };
constexpr auto kMixOps = static_cast<unsigned>(Op::kCreate);
constexpr auto kAllOps = static_cast<unsigned>(Op::kCount);

using Codes = std::set<Code>;
// What each may answer beside Ok when others do something to the same container.
const std::map<Op, Codes>& losses() {
  static const std::map<Op, Codes> codes = {
      {Op::kStart, {Code::kNotModified, Code::kNotFound, Code::kConflict}},
      {Op::kStop, {Code::kNotModified, Code::kNotFound, Code::kConflict}},
      {Op::kKill, {Code::kNotFound, Code::kConflict}},
      {Op::kRename, {Code::kNotFound, Code::kConflict}},
      {Op::kInspect, {Code::kNotFound}},
      {Op::kList, {}},
      {Op::kCreate, {Code::kConflict}},
      {Op::kRemove, {Code::kNotFound, Code::kConflict}}};
  return codes;
}

struct Record {
  Code code;
  Op op;
  int64_t took_ns;
  int64_t deadline_ms;
  std::array<int64_t, kWritesPerPhase> write_ns;
  std::array<char, 160> message;
};

/// What the processes share.
struct Board {
  pthread_barrier_t barrier;
  int rounds;
  std::array<std::array<std::array<Record, kProcesses>, kPhases>, kMaxRounds> records;
};

int number_of(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

/// The container that a phase is about, and what it is renamed to.
struct Names {
  std::string first;
  std::string second;
};

Names names_of(Phase phase, int round) {
  const std::string number = std::to_string(round);
  if (phase == kChurn) return {"churn-a", "churn-b"};
  if (phase == kRemove) return {"raced-" + number, {}};
  return {"race-" + number, "raced-" + number};
}

/// One of the processes.
class Racer {
 public:
  Racer(Board& board, int index, unsigned seed, std::unique_ptr<LocalEngine> engine)
      : board_(board),
        index_(index),
        random_(seed * 131 + static_cast<unsigned>(index)),
        engine_(std::move(engine)) {}

  void run() {
    for (int round = 0; round < board_.rounds; ++round) {
      for (int phase = 0; phase < kPhases; ++phase) {
        pthread_barrier_wait(&board_.barrier);
        Record& record =
            board_
                .records[static_cast<size_t>(round)][static_cast<size_t>(phase)][static_cast<size_t>(index_)];
        perform(static_cast<Phase>(phase), round, record);
        for (int64_t& took : record.write_ns) took = write_row();
      }
    }
  }

 private:
  void perform(Phase phase, int round, Record& record) {
    constexpr std::array kSame = {Op::kCreate, Op::kStart,  Op::kCount, Op::kStop,
                                  Op::kRename, Op::kRemove, Op::kCount};
    Op op = kSame.at(static_cast<size_t>(phase));
    Names names = names_of(phase, round);
    record.deadline_ms = kDeadlineMs;
    if (op == Op::kCount) {
      op = static_cast<Op>(random_() % (phase == kMix ? kMixOps : kAllOps));
      if (random_() % 4 == 0) record.deadline_ms = 1 + static_cast<int64_t>(random_() % 50);
      if (phase == kChurn && random_() % 2 == 0) std::swap(names.first, names.second);
    }
    record.op = op;
    const Call call{Deadline::after_ms(record.deadline_ms), nullptr, {}};
    const int64_t begin = boot_now_ns();
    const Status status = do_op(op, names, call);
    record.took_ns = boot_now_ns() - begin;
    record.code = status.code();
    std::snprintf(record.message.data(), record.message.size(), "%s", status.message().c_str());
  }

  Status do_op(Op op, const Names& names, const Call& call) {
    const std::string& name = names.first;
    switch (op) {
      case Op::kCreate:
        return create(name, call);
      case Op::kStart:
        return engine_->container_start(name, {}, call);
      case Op::kStop: {
        api::ContainerStopOptions options;
        options.t = 0;
        return engine_->container_stop(name, options, call);
      }
      case Op::kKill:
        return engine_->container_kill(name, {}, call);
      case Op::kRename: {
        api::ContainerRenameOptions options;
        options.name = names.second;
        return engine_->container_rename(name, options, call);
      }
      case Op::kInspect:
        return engine_->container_inspect(name, {}, call).status();
      case Op::kList:
        return engine_->container_list({}, call).status();
      default: {
        api::ContainerRemoveOptions options;
        options.force = true;
        return engine_->container_remove(name, options, call);
      }
    }
  }

  Status create(const std::string& name, const Call& call) {
    api::ContainerCreateConfig config;
    config.image = testing::EngineTest::kImage;
    config.cmd = std::vector<std::string>{"sleep", "1000"};
    config.host_config.emplace().network_mode = "none";
    api::ContainerCreateOptions options;
    options.name = name;
    return engine_->container_create(config, options, call).status();
  }

  int64_t write_row() {
    const int64_t begin = boot_now_ns();
    const auto write = [&]() -> Status {
      POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                             engine_->context().db->begin(store::Durability::kBootScoped,
                                                          {Deadline::after_ms(kDeadlineMs), nullptr, {}}));
      POUCH_RETURN_IF_ERROR(
          transaction
              .run("INSERT OR REPLACE INTO intents(kind, key, created_ns) VALUES('race', ?, ?)", index_,
                   begin)
              .status());
      return transaction.commit();
    };
    return write().is_ok() ? boot_now_ns() - begin : -1;
  }

  Board& board_;
  const int index_;
  std::mt19937 random_;
  std::unique_ptr<LocalEngine> engine_;
};

class RaceTest : public testing::EngineTest {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the thread sanitizer cannot follow the threads of forked children";
#endif
    EngineTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    void* const memory =
        ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    board_ = static_cast<Board*>(memory);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&board_->barrier, &shared, kProcesses);
    board_->rounds = std::min(number_of("POUCH_RACE_ROUNDS", 6), kMaxRounds);
  }
  void TearDown() override {
    if (board_ != nullptr) ::munmap(board_, sizeof(Board));
    EngineTest::TearDown();
  }

  void race(unsigned seed) {
    std::vector<pid_t> children;
    for (int index = 0; index < kProcesses; ++index) {
      const pid_t child = ::fork();
      if (child == 0) {
        // The parent's engine is not for us; ours is.
        auto engine = open_engine();
        if (!engine) ::_exit(2);
        Racer(*board_, index, seed, std::move(engine)).run();
        ::_exit(0);
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_EQ(status, 0);
    }
  }

  std::span<const Record, kProcesses> records(int round, int phase) const {
    return board_->records[static_cast<size_t>(round)][static_cast<size_t>(phase)];
  }

  static std::string tell(int round, int phase, const Record& record) {
    return "round " + std::to_string(round) + ", " + kPhaseNames.at(static_cast<size_t>(phase)) + ", op " +
           std::to_string(static_cast<int>(record.op)) + ": " + std::string(code_name(record.code)) + ": " +
           record.message.data();
  }

  void expect_one_winner(int round, int phase, const Codes& losers) const {
    int winners = 0;
    for (const Record& record : records(round, phase)) {
      if (record.code == Code::kOk) ++winners;
      EXPECT_TRUE(record.code == Code::kOk || losers.contains(record.code)) << tell(round, phase, record);
    }
    EXPECT_EQ(winners, 1) << "round " << round << ", " << kPhaseNames.at(static_cast<size_t>(phase));
  }

  void expect_clear_answers(int round, int phase) const {
    for (const Record& record : records(round, phase)) {
      const bool is_late = record.code == Code::kDeadlineExceeded && record.deadline_ms < kDeadlineMs;
      EXPECT_TRUE(record.code == Code::kOk || is_late || losses().at(record.op).contains(record.code))
          << tell(round, phase, record);
    }
  }

  void check_times() const {
    for (int round = 0; round < board_->rounds; ++round) {
      for (int phase = 0; phase < kPhases; ++phase) {
        for (const Record& record : records(round, phase)) {
          EXPECT_LE(record.took_ns / 1'000'000, record.deadline_ms + kSlackMs) << tell(round, phase, record);
          for (const int64_t took : record.write_ns) EXPECT_GE(took, 0);
        }
      }
    }
  }

  // All that was told, in the order in which it happened.
  std::vector<api::EventMessage> events() {
    api::SystemEventsOptions options;
    options.since = Timestamp{1};
    options.until = Timestamp::now();
    std::vector<api::EventMessage> all;
    const auto stream = engine_->system_events(options, soon());
    EXPECT_TRUE(stream.is_ok()) << stream.status().message();
    Frame frame;
    while (stream.is_ok()) {
      const auto next = (*stream)->next(&frame, Deadline::after_ms(30'000));
      EXPECT_TRUE(next.is_ok() && *next != Next::kAgain);
      if (!next.is_ok() || *next != Next::kFrame) break;
      auto event = api::parse_document<api::EventMessage>(frame.data);
      if (event.is_ok() && event->type == "container") all.push_back(std::move(*event));
    }
    return all;
  }

  // A name has one holder at a time, a start one end, a container one creation and one removal.
  void check_events() {
    std::map<std::string, std::string> names;  // holders
    std::map<std::string, bool> runs;
    for (const api::EventMessage& event : events()) {
      const std::string& id = event.actor.id;
      const auto& attributes = *event.actor.attributes;
      const std::string& name = attributes.at("name");
      SCOPED_TRACE(event.action + " of " + name + " " + id);
      if (event.action == "create") {
        EXPECT_TRUE(names.emplace(name, id).second);
        EXPECT_TRUE(runs.emplace(id, false).second);
        continue;
      }
      ASSERT_TRUE(runs.contains(id));
      if (event.action == "start" || event.action == "die") {
        const bool starts = event.action == "start";
        EXPECT_NE(std::exchange(runs[id], starts), starts);
      }
      if (event.action == "rename") {
        EXPECT_EQ(names[attributes.at("oldName").substr(1)], id);
        names.erase(attributes.at("oldName").substr(1));
        EXPECT_TRUE(names.emplace(name, id).second);
      }
      if (event.action == "destroy") {
        EXPECT_FALSE(runs[id]);
        EXPECT_EQ(names[name], id);
        names.erase(name);
        runs.erase(id);
      }
    }
    for (const auto& [name, id] : names) EXPECT_TRUE(name.starts_with("churn-")) << name;
  }

  void report(unsigned seed) const {
    std::vector<int64_t> writes;
    std::vector<int64_t> calls;
    std::map<Code, int> counts;
    for (int round = 0; round < board_->rounds; ++round) {
      for (int phase = 0; phase < kPhases; ++phase) {
        for (const Record& record : records(round, phase)) {
          writes.insert(writes.end(), record.write_ns.begin(), record.write_ns.end());
          calls.push_back(record.took_ns);
          ++counts[record.code];
        }
      }
    }
    const auto at = [](std::vector<int64_t>& values, double part) {
      std::ranges::sort(values);
      return static_cast<double>(values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))]) /
             1e6;
    };
    std::printf(
        "race: seed %u, %d processes, %d rounds, %zu calls (p50 %.1f ms, p99 %.1f ms, longest %.1f ms)", seed,
        kProcesses, board_->rounds, calls.size(), at(calls, 0.5), at(calls, 0.99), at(calls, 1));
    for (const auto& [code, count] : counts)
      std::printf(", %s %d", std::string(code_name(code)).c_str(), count);
    std::printf("\nrace: %zu row writes: p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", writes.size(),
                at(writes, 0.5), at(writes, 0.99), at(writes, 1));
  }

  Board* board_ = nullptr;
};

TEST_F(RaceTest, OneWinsAndTheOthersAreTold) {
  const auto seed = static_cast<unsigned>(number_of("POUCH_RACE_SEED", 1));
  race(seed);
  if (HasFatalFailure()) return;
  SCOPED_TRACE("POUCH_RACE_SEED=" + std::to_string(seed));
  for (int round = 0; round < board_->rounds; ++round) {
    expect_one_winner(round, kCreate, {Code::kConflict});
    expect_one_winner(round, kStart, {Code::kNotModified});
    expect_clear_answers(round, kMix);
    expect_clear_answers(round, kStop);
    expect_clear_answers(round, kRename);  // one of the mix may have been first
    expect_one_winner(round, kRemove, {Code::kNotFound, Code::kConflict});
    expect_clear_answers(round, kChurn);
  }
  check_times();
  check_events();
  report(seed);
}

}  // namespace
}  // namespace pouch
