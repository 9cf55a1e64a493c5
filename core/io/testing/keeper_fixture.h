#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "core/io/json_log.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/io/testing/test_folder.h"
#include "core/sys/file.h"

// A keeper's worker on a thread of the test's process, and what tests of it need.

namespace pouch::io {

inline Deadline soon() {
  return Deadline::after_ms(10'000);
}

struct RecordingHooks : KeeperHooks {
  Status start(StreamControl& given) override {
    control = &given;
    return {};
  }
  void stop() override { control = nullptr; }
  void close_stdin(const std::string& stream_id, const std::string&, int64_t) override {
    closed_stream = stream_id;
    ++closes;
  }
  void serve_names(const std::string& sandbox, std::function<void(const Status&)> done) override {
    // On another thread, as the real ones do.
    std::thread([sandbox, done = std::move(done)] {
      done(sandbox == "gone-1" ? not_found("it is gone") : Status());
    }).join();
  }
  std::atomic<StreamControl*> control{nullptr};
  std::string closed_stream;
  std::atomic<int> closes{0};
};

/// A keeper on a thread of this process.
class KeeperServerTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);  // a writer that is cut off says so
    start();
  }
  void TearDown() override { stop(); }

  void start(int64_t drain_grace_ms = 2000, int64_t max_linger_ms = 600'000) {
    KeeperServerOptions options;
    options.run_dir = folder_.path();
    options.listener = std::move(*listen_in(folder_.path()));
    options.idle_exit_ms = -1;
    options.drain_grace_ms = drain_grace_ms;
    options.max_stall_ms = 200;
    options.max_linger_ms = max_linger_ms;
    options.hooks = &hooks_;
    auto server = KeeperServer::create(std::move(options));
    ASSERT_TRUE(server.is_ok()) << server.status().to_string();
    server_ = std::move(*server);
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run().is_ok()); });
    auto client = KeeperClient::connect(folder_.path(), soon());
    ASSERT_TRUE(client.is_ok()) << client.status().to_string();
    client_ = std::move(*client);
  }

  void stop() {
    client_.reset();
    server_->stop();
    thread_.join();
    server_.reset();
  }

  StdioSpec spec(const std::string& id = "c1") const {
    StdioSpec result;
    result.stream_id = id;
    result.container_id = id;
    result.generation = 1;
    result.log = {"json-file", folder_.file(id + "-json.log"), -1, 1, {}};
    return result;
  }

  StdioPaths open(const StdioSpec& wanted) {
    auto paths = client_->open_stdio(wanted, soon());
    EXPECT_TRUE(paths.is_ok()) << paths.status().to_string();
    return paths.is_ok() ? *paths : StdioPaths();
  }

  std::unique_ptr<AttachConnection> attach(const std::string& id, bool want_stdin = false) {
    auto attached = client_->attach(id, {want_stdin, true, true}, soon());
    EXPECT_TRUE(attached.is_ok()) << attached.status().to_string();
    return attached.is_ok() ? std::move(*attached) : nullptr;
  }

  std::string logged(const std::string& id = "c1") const {
    std::string all;
    auto reader = JsonLogReader::open(folder_.file(id + "-json.log"), {});
    for (;;) {
      auto line = (*reader)->next(soon());
      if (!line.is_ok() || !line->has_value()) return all;
      all += (*line)->text;
    }
  }

  const TestFolder folder_;
  RecordingHooks hooks_;
  std::unique_ptr<KeeperServer> server_;
  std::thread thread_;
  std::unique_ptr<KeeperClient> client_;
};

// The runtime's side of a FIFO.
inline UniqueFd open_end(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  EXPECT_TRUE(fd.is_valid()) << path;
  return fd;
}

inline void write_text(const UniqueFd& fd, std::string_view text) {
  EXPECT_TRUE(sys::write_all(fd.get(), text).is_ok());
}

// Everything a client is sent, until its end.
struct Received {
  std::string out;
  std::string err;
  Frame end;
};

inline Received receive_all(AttachConnection& attached) {
  Received received;
  for (;;) {
    auto frame = attached.read_frame(soon());
    EXPECT_TRUE(frame.is_ok()) << frame.status().to_string();
    if (!frame.is_ok() || frame->type == FrameType::kEnd) {
      if (frame.is_ok()) received.end = *frame;
      return received;
    }
    (frame->type == FrameType::kStdout ? received.out : received.err) += frame->data;
  }
}

}  // namespace pouch::io
