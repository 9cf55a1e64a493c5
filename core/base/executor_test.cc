#include "core/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

namespace pouch {
namespace {

TEST(Executor, RunsEverything) {
  std::atomic<int> sum{0};
  {
    Executor executor(4);
    for (int i = 0; i < 100; ++i) {
      const Result<int> result = run_detached<Result<int>>(executor, {}, [i] { return Result<int>(i); });
      sum += *result;
    }
  }
  EXPECT_EQ(sum, 4950);
}

TEST(Executor, DeadlineFreesTheCallerAndWorkGoesOn) {
  std::atomic<bool> finished{false};
  {
    std::atomic<bool> may_finish{false};
    Executor executor;
    const Call call{.deadline = Deadline::after_ms(20), .cancel = nullptr, .request_id = {}};
    const Status status = run_detached<Status>(executor, call, [&] {
      while (!may_finish) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      finished = true;
      return Status();
    });
    EXPECT_EQ(status.code(), Code::kDeadlineExceeded);
    EXPECT_FALSE(finished);
    may_finish = true;
  }
  EXPECT_TRUE(finished);
}

TEST(Executor, CancelFreesTheCaller) {
  Executor executor;
  const auto token = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    token->fire();
  });
  const Call call{.deadline = {}, .cancel = token, .request_id = {}};
  const Status status = run_detached<Status>(executor, call, [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return Status();
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
  canceller.join();
}

TEST(Executor, StopFreesTheCallerOfWhatHasNotBegun) {
  Executor executor(1);
  std::promise<void> go_on;
  std::promise<void> begun;
  executor.submit([&] {
    begun.set_value();
    go_on.get_future().wait();
  });
  begun.get_future().wait();
  std::thread caller([&] {
    const Status status = run_detached<Status>(executor, {}, [] { return Status(); });
    EXPECT_EQ(status.code(), Code::kClosed);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::thread stopper([&] { executor.stop(); });
  caller.join();
  go_on.set_value();
  stopper.join();
  const Status late = run_detached<Status>(executor, {}, [] { return Status(); });
  EXPECT_EQ(late.code(), Code::kClosed);
}

}  // namespace
}  // namespace pouch
