#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ctrd/testing/private_containerd.h"
#include "core/engine/local_engine.h"

namespace pouch::testing {

/// A root of the test's own on the suite's private containerd, with one image made of busybox-static. Leaves
/// nothing: containers, keeper, containerd and folders go with the test.
class EngineTest : public ::testing::Test {
 public:
  static constexpr const char* kImage = "busybox:test";

 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  static ctrd::testing::PrivateContainerd& containerd();
  EngineOptions options() const;
  std::unique_ptr<LocalEngine> open_engine() const;
  /// A call that waits at most 30 s.
  static Call soon() { return {Deadline::after_ms(30'000), nullptr, {}}; }

  std::string create(const std::vector<std::string>& command,
                     const std::function<void(api::ContainerCreateConfig&)>& change = {});
  Status start(const std::string& id);
  /// Starts it and waits for its end; the exit code.
  int64_t run(const std::string& id);
  void remove(const std::string& id, bool force = false);
  api::ContainerInspect inspect(const std::string& id);
  StreamPtr open_wait(const std::string& id, const std::string& condition = "not-running");
  static int64_t exit_code(Stream& wait);
  std::string logs(const std::string& id, Channel channel);
  /// Everything the stream carries of the channel, up to its end.
  static std::string read_all(Stream& stream, Channel channel);
  /// The actions of the next `count` events about containers.
  static std::vector<std::string> actions(Stream& events, size_t count);

  void end_keeper();

  std::string dir_;
  std::unique_ptr<LocalEngine> engine_;

 private:
  void make_image();
  void remove_all_containers();
};

}  // namespace pouch::testing
