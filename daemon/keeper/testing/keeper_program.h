#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/text.h"
#include "core/io/json_log.h"
#include "core/io/keeper_client.h"
#include "core/io/testing/test_folder.h"
#include "core/sys/child.h"

// The keeper as a program of its own, in a folder of its own.

namespace pouch::keeper {

using io::KeeperClient;

inline Deadline soon() {
  return Deadline::after_ms(20'000);
}

class KeeperTest : public testing::Test {
 protected:
  void TearDown() override {
    // Whatever a test left goes; a killed supervisor's worker too.
    auto client = KeeperClient::connect(folder_.file("run"), soon());
    if (!client.is_ok()) return;
    const auto status = (*client)->status(soon());
    (*client)->shutdown(true, soon()).ignore();
    client->reset();
    if (status.is_ok()) wait_gone(status->worker_pid);
    if (status.is_ok()) wait_gone(status->keeper_pid);
  }

  static void wait_gone(int pid) {
    auto pidfd = sys::open_pidfd(pid);
    EXPECT_TRUE(!pidfd.is_ok() || sys::wait_pidfd(pidfd->get(), soon())) << pid;
  }

  io::KeeperLaunch launch() const {
    io::KeeperLaunch result;
    result.root_dir = folder_.file("root");
    result.run_dir = folder_.file("run");
    result.program = POUCH_KEEPER_PROGRAM;
    result.idle_exit_ms = 10'000;
    return result;
  }

  std::unique_ptr<KeeperClient> ensure() {
    auto client = io::ensure_keeper(launch(), soon());
    EXPECT_TRUE(client.is_ok()) << client.status().to_string();
    return client.is_ok() ? std::move(*client) : nullptr;
  }

  // The keeper once its supervisor is `heir`, or as it is in the end.
  static io::KeeperStatus succession(KeeperClient& client, int heir) {
    const Deadline deadline = soon();
    auto now = client.status(deadline);
    while ((!now.is_ok() || now->keeper_pid != heir) && !deadline.has_passed()) {
      ::usleep(5'000);
      now = client.status(deadline);
    }
    EXPECT_TRUE(now.is_ok()) << now.status().to_string();
    return now.is_ok() ? *now : io::KeeperStatus();
  }

  io::StdioSpec spec() const {
    io::StdioSpec result;
    result.stream_id = result.container_id = "c1";
    result.generation = 1;
    result.log = {"json-file", folder_.file("log"), 100'000, 100, {}};
    return result;
  }

  // The log's text, cut into lines.
  std::vector<std::string> logged_lines() const {
    std::string all;
    auto reader = io::JsonLogReader::open(folder_.file("log"), {});
    for (;;) {
      auto line = (*reader)->next(soon());
      if (!line.is_ok() || !line->has_value()) break;
      all += (*line)->text;
    }
    std::vector<std::string> lines = split(all, '\n');
    lines.pop_back();
    return lines;
  }

  const TestFolder folder_;
};

}  // namespace pouch::keeper
