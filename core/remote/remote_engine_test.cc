#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <thread>

#include "core/remote/remote_engine.h"
#include "core/remote/testing/http_server.h"

namespace pouch::remote {
namespace {

using namespace std::chrono_literals;

constexpr const char* kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr const char* kUpgraded =
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
constexpr const char* kEnd = "{\"pouchEnd\":{\"result\":null}}";

bool starts(const std::string& head, const char* what) {
  return head.starts_with(what);
}

std::unique_ptr<RemoteEngine> engine_of(const TestServer& server) {
  return std::move(*RemoteEngine::open(server.uri()));
}

/// Fires `cancel` while `blocked` runs, and tells how long it went on after that.
template <class F>
std::chrono::milliseconds time_after_cancel(const CancelPtr& cancel, F blocked) {
  std::chrono::steady_clock::time_point fired;
  std::thread canceller([&] {
    std::this_thread::sleep_for(100ms);
    fired = std::chrono::steady_clock::now();
    cancel->fire();
  });
  blocked();
  const auto freed = std::chrono::steady_clock::now();
  canceller.join();
  return std::chrono::duration_cast<std::chrono::milliseconds>(freed - fired);
}

std::string read_all(Stream& stream, Status* end) {
  std::string out;
  Frame frame;
  while (true) {
    const Result<Next> next = stream.next(&frame, Deadline::after_ms(10'000));
    if (!next.is_ok() || *next != Next::kFrame) {
      *end = next.is_ok() && *next == Next::kAgain ? Status(Code::kDeadlineExceeded, "nothing came")
                                                   : next.status();
      return out;
    }
    out += frame.data;
  }
}

// Never answers; the client's end closes the connection.
bool hang(TestConnection& connection, const std::string& /*head*/) {
  connection.read_to_end();
  return false;
}

TEST(RemoteEngine, StrictRequestsOverOneConnection) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    connection.send(starts(head, "POST /v1.50/containers/a%20b/stop?t=3 ")
                        ? http_answer(204, "")
                        : http_answer(404, R"({"message":"no such thing","code":"NotFound"})"));
    return true;
  });
  const auto engine = engine_of(server);
  EXPECT_TRUE(engine->container_stop("a b", {.t = 3}, {{}, nullptr, "req-1"}).is_ok());
  EXPECT_EQ(engine->container_kill("x", {}, {}).to_string(), "NotFound: no such thing");
  EXPECT_EQ(server.connections(), 1);
  const auto heads = server.heads();
  ASSERT_EQ(heads.size(), 3U);  // one ping, two calls
  EXPECT_NE(heads[1].find("Pouch-Strict: 1\r\n"), std::string::npos);
  EXPECT_NE(heads[1].find("Pouch-Request-Id: req-1\r\n"), std::string::npos);
}

TEST(RemoteEngine, BodiesAndNotModified) {
  std::string body;
  TestServer server(kPouchdHeaders, [&](TestConnection& connection, const std::string& head) {
    if (starts(head, "POST /v1.50/containers/x/start ")) {
      connection.send("HTTP/1.1 304 Not Modified\r\n\r\n");
      return true;
    }
    body = connection.read_body(16);
    connection.send(http_answer(201, R"({"Id":"abc","Warnings":null,"New":1})"));
    return true;
  });
  const auto engine = engine_of(server);
  const auto made = engine->container_create({.image = "busy"}, {}, {});
  ASSERT_TRUE(made.is_ok()) << made.status().to_string();
  EXPECT_EQ(made->id, "abc");
  EXPECT_EQ(body, R"({"Image":"busy"})");
  EXPECT_EQ(engine->container_start("x", {}, {}).code(), Code::kNotModified);
}

TEST(RemoteEngine, DockerdIsNegotiatedWith) {
  TestServer server(kDockerdHeaders, [](TestConnection& connection, const std::string& head) {
    connection.send(starts(head, "GET /v1.41/images/json ")
                        ? http_answer(200, "[]")
                        : http_answer(404, R"({"message":"page not found"})"));
    return true;
  });
  const auto engine = engine_of(server);
  EXPECT_TRUE(engine->image_list({}, {}).is_ok());
  EXPECT_EQ(engine->system_info({}).code(), Code::kNotImplemented);
  EXPECT_EQ(engine->image_from_rootfs({.reference = "x"}, {}).code(), Code::kNotImplemented);
  EXPECT_EQ(server.heads()[1].find("Pouch-Strict"), std::string::npos);
}

TEST(RemoteEngine, CancelAndDeadlineFreeTheCaller) {
  TestServer server(kPouchdHeaders, hang);
  const auto engine = engine_of(server);
  for (const bool stream : {false, true}) {
    const auto cancel = std::make_shared<CancelToken>();
    const Call call{{}, cancel, ""};
    Code code = Code::kOk;
    const auto took = time_after_cancel(cancel, [&] {
      code = stream ? engine->container_wait("x", {}, call).code()
                    : engine->container_stop("x", {}, call).code();
    });
    EXPECT_EQ(code, Code::kCancelled);
    EXPECT_LE(took, 50ms);
  }
  EXPECT_EQ(engine->container_stop("x", {}, {Deadline::after_ms(50), nullptr, ""}).code(),
            Code::kDeadlineExceeded);
  EXPECT_EQ(engine->container_attach("x", {}, {Deadline::after_ms(50), nullptr, ""}).code(),
            Code::kDeadlineExceeded);
}

TEST(RemoteEngine, WaitOpensOnTheHead) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& /*head*/) {
    connection.send(kChunked);
    std::this_thread::sleep_for(200ms);
    connection.send(http_chunk("{\"StatusCode\":3}\n") + http_chunk(std::string(kEnd) + "\n") +
                    http_chunk(""));
    return true;
  });
  const auto engine = engine_of(server);
  auto stream = engine->container_wait("x", {}, {});
  ASSERT_TRUE(stream.is_ok());
  Frame frame;
  EXPECT_EQ(*(*stream)->next(&frame, Deadline::after_ms(0)), Next::kAgain);
  pollfd fd{(*stream)->poll_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&fd, 1, 5000), 1);
  EXPECT_EQ(*(*stream)->next(&frame, Deadline::after_ms(0)), Next::kFrame);
  EXPECT_EQ(frame.data, R"({"StatusCode":3})");
  EXPECT_TRUE((*stream)->finish({}).is_ok());
}

TEST(RemoteEngine, StreamsEndCutOrCancelled) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    connection.send(kChunked + http_chunk(mux(1, "one")));
    if (starts(head, "GET /v1.50/containers/cut/")) return false;
    return hang(connection, head);
  });
  const auto engine = engine_of(server);
  Status end;
  auto cut = engine->container_logs("cut", {.stdout = true}, {});
  EXPECT_EQ(read_all(**cut, &end), "one");
  EXPECT_EQ(end.code(), Code::kUnavailable) << end.to_string();
  auto endless = engine->container_logs("x", {.stdout = true}, {});
  std::thread canceller([&] {
    std::this_thread::sleep_for(50ms);
    (*endless)->cancel();
  });
  read_all(**endless, &end);
  canceller.join();
  EXPECT_EQ(end.code(), Code::kCancelled);
  // Left open: the engine's end must not wait for the server, nor for a reader.
  auto abandoned = engine->container_logs("x", {.stdout = true}, {});
}

TEST(RemoteEngine, ItsEndWaitsForNoReader) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    connection.send(kChunked + http_chunk(mux(1, std::string(size_t{4} << 20U, 'x'))));
    return hang(connection, head);
  });
  auto engine = engine_of(server);
  auto stream = engine->container_logs("x", {.stdout = true}, {});
  ASSERT_TRUE(stream.is_ok());
  std::this_thread::sleep_for(50ms);  // its thread now waits for room
  engine.reset();
  Status end;
  read_all(**stream, &end);
  EXPECT_EQ(end.code(), Code::kCancelled);
}

TEST(RemoteEngine, BrokenServers) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    if (head.find("/short/") != std::string::npos) {
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
    } else if (head.find("/huge/") != std::string::npos) {
      connection.send("HTTP/1.1 200 OK\r\n");
      for (int i = 0; i < 200; ++i)
        connection.send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
    } else if (head.find("/text/") != std::string::npos) {
      connection.send(http_answer(200, "hello"));
    } else {
      connection.send("220 mail ready\r\n\r\n");
    }
    return false;
  });
  const auto engine = engine_of(server);
  EXPECT_EQ(engine->container_inspect("short", {}, {}).code(), Code::kUnavailable);
  EXPECT_EQ(engine->container_inspect("huge", {}, {}).code(), Code::kResourceExhausted);
  EXPECT_EQ(engine->container_inspect("text", {}, {}).code(), Code::kDataLoss);
  EXPECT_EQ(engine->container_inspect("mail", {}, {}).code(), Code::kDataLoss);
  EXPECT_EQ(engine->container_attach("huge", {}, {}).code(), Code::kResourceExhausted);
  EXPECT_EQ(engine->container_attach("mail", {}, {}).code(), Code::kDataLoss);
}

TEST(RemoteEngine, NobodyListens) {
  const auto engine = std::move(*RemoteEngine::open("unix:///nonexistent/pouch.sock"));
  const Status status = engine->system_ping({}).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("/nonexistent/pouch.sock"), std::string::npos);
}

TEST(RemoteEngine, HijackWithHalfClose) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    if (starts(head, "POST /v1.50/exec/")) connection.read_body(2);
    connection.send(std::string(kUpgraded) + mux(1, "early "));
    const std::string input = connection.read_to_end();
    connection.send(mux(1, input) + mux(2, "!") + mux(3, R"({"pouchEnd":{"result":{"ExitCode":5}}})"));
    return false;
  });
  const auto engine = engine_of(server);
  auto stream = engine->exec_start("e", {}, {});
  ASSERT_TRUE(stream.is_ok()) << stream.status().to_string();
  EXPECT_EQ(*(*stream)->write("abc", Deadline::never()), 3U);
  EXPECT_TRUE((*stream)->close_write().is_ok());
  Status end;
  EXPECT_EQ(read_all(**stream, &end), "early abc!");
  EXPECT_TRUE(end.is_ok());
  EXPECT_EQ(*(*stream)->finish({}), R"({"ExitCode":5})");
  EXPECT_NE(server.heads()[1].find("Upgrade: tcp\r\n"), std::string::npos);
}

TEST(RemoteEngine, HijackErrorsAndCut) {
  TestServer server(kPouchdHeaders, [](TestConnection& connection, const std::string& head) {
    if (head.find("/none/") != std::string::npos) {
      connection.send(
          "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nNo such x\r\n");
    } else if (head.find("/chunked/") != std::string::npos) {
      connection.send("HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n" +
                      http_chunk(R"({"message":"paused","code":)") + http_chunk(R"("Conflict"})") +
                      http_chunk(""));
      return hang(connection, head);
    } else {
      connection.send(std::string(kUpgraded) + mux(1, "x"));
    }
    return false;
  });
  const auto engine = engine_of(server);
  EXPECT_EQ(engine->container_attach("none", {}, {}).status().to_string(), "NotFound: No such x");
  EXPECT_EQ(engine->container_attach("chunked", {}, {}).status().to_string(), "Conflict: paused");
  auto cut = engine->container_attach("y", {}, {});
  Status end;
  EXPECT_EQ(read_all(**cut, &end), "x");
  EXPECT_EQ(end.code(), Code::kUnavailable);
}

TEST(RemoteEngine, UploadsAndTheirEarlyErrors) {
  std::atomic<size_t> received{0};
  TestServer server(kPouchdHeaders, [&](TestConnection& connection, const std::string& head) {
    if (head.find("quiet=1") != std::string::npos) {
      connection.send(
          http_answer(400, R"({"message":"no","code":"InvalidArgument"})", "Connection: close\r\n"));
      return false;
    }
    std::string all;
    while (!all.ends_with("0\r\n\r\n")) {
      const std::string byte = connection.read_body(1);
      if (byte.empty()) return false;
      all += byte;
    }
    received = all.size();
    connection.send(kChunked + http_chunk("{\"stream\":\"a\"}\n{\"pouchEnd\":{\"result\":{\"Ids\":[]}}}\n") +
                    http_chunk(""));
    return true;
  });
  const auto engine = engine_of(server);
  auto good = engine->image_load({}, {});
  ASSERT_TRUE(good.is_ok());
  const std::string data(300'000, 'd');
  for (size_t at = 0; at < data.size();)
    at += *(*good)->write(std::string_view(data).substr(at), Deadline::never());
  EXPECT_TRUE((*good)->close_write().is_ok());
  EXPECT_EQ(*(*good)->finish({}), R"({"Ids":[]})");
  EXPECT_GE(received.load(), data.size());
  auto bad = engine->image_load({.quiet = true}, {});
  ASSERT_TRUE(bad.is_ok());
  EXPECT_EQ((*bad)->finish({}).status().to_string(), "InvalidArgument: no");
}

}  // namespace
}  // namespace pouch::remote
