#include "core/base/sweeper.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <thread>

namespace pouch {
namespace {

// Runs what was submitted when it is told to, so that nothing depends on time.
class SweeperTest : public testing::Test {
 protected:
  void run_all() {
    while (!submitted_.empty()) {
      const auto work = std::move(submitted_.front());
      submitted_.pop_front();
      work();
    }
  }

  std::deque<std::function<void()>> submitted_;
  int sweeps_ = 0;
  std::function<void()> amid_;
  Sweeper sweeper_{{"test", "sweep",
                    [this] {
                      ++sweeps_;
                      if (amid_) std::exchange(amid_, {})();
                      return sweeps_ == 1 ? internal_error("the first fails") : Status();
                    },
                    [this](std::function<void()> work) { submitted_.push_back(std::move(work)); }}};
};

TEST_F(SweeperTest, OneAtATimeAndOneMoreForWhatWasAskedMeanwhile) {
  sweeper_.soon();
  sweeper_.soon();
  EXPECT_EQ(submitted_.size(), 1U);
  amid_ = [this] {
    for (int i = 0; i < 3; ++i) sweeper_.soon();
  };
  run_all();
  EXPECT_EQ(sweeps_, 2);
  sweeper_.soon();
  run_all();
  EXPECT_EQ(sweeps_, 3);
}

TEST_F(SweeperTest, AFailedChangeIsSweptOnceAndForgottenWhenItWasDone) {
  EXPECT_FALSE(sweeper_.is_abandoned("a"));
  sweeper_.note_end("a", internal_error("half-way"));
  EXPECT_TRUE(sweeper_.is_abandoned("a") && !sweeper_.is_abandoned("b"));
  run_all();
  EXPECT_EQ(sweeps_, 1);
  sweeper_.note_end("a", internal_error("again, by the sweep itself"));
  EXPECT_TRUE(submitted_.empty());
  sweeper_.note_end("a", {});
  EXPECT_FALSE(sweeper_.is_abandoned("a"));
}

TEST_F(SweeperTest, ItsEndWaitsForOperationsAndNothingBeginsAfterIt) {
  auto operation = sweeper_.enter();
  auto copy = operation;
  std::thread ender([&] {
    operation.reset();
    copy.reset();
  });
  sweeper_.close();
  EXPECT_EQ(operation, nullptr);
  EXPECT_EQ(copy, nullptr);
  ender.join();
  sweeper_.soon();
  EXPECT_TRUE(submitted_.empty());
}

}  // namespace
}  // namespace pouch
