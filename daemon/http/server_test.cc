#include "daemon/http/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "core/api/json.h"
#include "core/io/stdcopy.h"
#include "core/mock/mock_engine.h"
#include "daemon/http/api_handler.h"

namespace pouch::http {
namespace {

constexpr int kPatienceMs = 10'000;

// A raw client: sends bytes, reads bytes.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  Client& send(std::string_view bytes) {
    EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    return *this;
  }
  Client& end_sending() {
    ::shutdown(fd_.get(), SHUT_WR);
    return *this;
  }
  void close() { fd_.reset(); }

  /// One more piece; false at the end or after too long a silence.
  bool more() {
    pollfd readable = {fd_.get(), POLLIN, 0};
    if (::poll(&readable, 1, kPatienceMs) <= 0) return false;
    char bytes[65536];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(got));
    return true;
  }
  /// Everything up to and with `mark`; what there is when it does not come.
  std::string until(const std::string& mark) {
    while (buffer_.find(mark) == std::string::npos && more()) {
    }
    const size_t at = buffer_.find(mark);
    return take(at == std::string::npos ? buffer_.size() : at + mark.size());
  }
  std::string exactly(size_t count) {
    while (buffer_.size() < count && more()) {
    }
    return take(std::min(count, buffer_.size()));
  }
  std::string rest() {
    while (more()) {
    }
    return take(buffer_.size());
  }
  std::string body_of(const std::string& head) {
    const size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? "" : exactly(std::stoul(head.substr(at + 16)));
  }
  std::string chunk() {
    const size_t size = std::stoul("0" + until("\r\n"), nullptr, 16);
    std::string data = exactly(size);
    exactly(2);
    return data;
  }

 private:
  std::string take(size_t count) {
    std::string out = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return out;
  }
  UniqueFd fd_;
  std::string buffer_;
};

struct Answer {
  std::string head;
  std::string body;
  int status() const { return head.size() > 12 ? std::stoi(head.substr(9, 3)) : 0; }
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "pouch-http-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    socket_ = folder_ + "/s";
    engine_ = std::move(MockEngine::open("mock://").value());
    handler_ = std::make_unique<ApiHandler>(*engine_, watch_);
    start({});
    make_image();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(const Limits& limits) {
    server_.reset();
    ServerOptions options;
    options.listen = {"unix://" + socket_};
    options.limits = limits;
    options.on_stop_timeout = [this] { watch_.fire_all(); };
    auto server =
        Server::start(std::move(options), [this](Exchange& exchange) { handler_->serve(exchange); });
    ASSERT_TRUE(server.is_ok()) << server.status().to_string();
    server_ = std::move(*server);
  }

  void make_image() {
    api::ImageFromRootfsOptions options;
    options.reference = "busybox";
    StreamPtr stream = engine_->image_from_rootfs(options, {}).value();
    ASSERT_TRUE(stream->write(tar_of(1), Deadline::never()).is_ok());
    stream->close_write().ignore();
    ASSERT_TRUE(stream->finish({}).is_ok());
  }

  // A tar archive of one file of zeros.
  static std::string tar_of(size_t size) {
    std::string header(512, '\0');
    header.replace(0, 1, "x");
    std::array<char, 13> digits{};
    std::snprintf(digits.data(), digits.size(), "%011zo", size);
    header.replace(124, 11, digits.data(), 11);
    header.replace(257, 5, "ustar");
    return header + std::string((size + 511) / 512 * 512, '\0') + std::string(1024, '\0');
  }

  Client connect() { return Client(socket_); }

  static std::string request(const std::string& method, const std::string& target,
                             const std::string& body = {}, const std::string& headers = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: d\r\n" + headers;
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    return text + "\r\n" + body;
  }

  Answer call(const std::string& method, const std::string& target, const std::string& body = {},
              const std::string& headers = {}) {
    Client client = connect();
    client.send(request(method, target, body, headers));
    Answer answer;
    answer.head = client.until("\r\n\r\n");
    answer.body = client.body_of(answer.head);
    return answer;
  }

  std::string make_container(const std::string& config) {
    Json full = parse_json(config).value();
    full["HostConfig"]["NetworkMode"] = "none";
    const Answer answer = call("POST", "/containers/create", write_json(full));
    EXPECT_EQ(answer.status(), 201) << answer.body;
    return parse_json(answer.body).value()["Id"].asString();
  }

  std::string folder_;
  std::string socket_;
  std::unique_ptr<MockEngine> engine_;
  DisconnectWatch watch_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<Server> server_;
};

const std::string kStrict = "Pouch-Strict: 1\r\n";
const std::string kUpgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

TEST_F(ServerTest, Ping) {
  const Answer get = call("GET", "/_ping");
  EXPECT_EQ(get.status(), 200);
  EXPECT_EQ(get.body, "OK");
  for (const char* header : {"Api-Version: 1.50", "Ostype: linux", "Docker-Experimental: false",
                             "Server: Pouch/", "Cache-Control: no-cache, no-store, must-revalidate",
                             "Pragma: no-cache", "Content-Type: text/plain; charset=utf-8"}) {
    EXPECT_NE(get.head.find(header), std::string::npos) << header;
  }
  const Answer head = call("HEAD", "/v1.24/_ping");
  EXPECT_EQ(head.status(), 200);
  EXPECT_NE(head.head.find("Content-Length: 0"), std::string::npos);
}

TEST_F(ServerTest, UnknownRoutes) {
  for (const char* method : {"GET", "PUT", "PATCH"}) {
    const Answer answer = call(method, "/nosuch");
    EXPECT_EQ(answer.status(), 404);
    EXPECT_EQ(answer.body, "{\"message\":\"page not found\"}\n");
  }
  EXPECT_EQ(call("POST", "/v1.41/containers/json").status(), 404);
  EXPECT_EQ(call("OPTIONS", "/anything").status(), 200);
  const Answer future = call("GET", "/v1.99/info");
  EXPECT_EQ(future.status(), 400);
  EXPECT_NE(future.body.find("client version 1.99 is too new"), std::string::npos);
}

TEST_F(ServerTest, OneConnectionManyRequests) {
  Client client = connect();
  client.send(request("GET", "/_ping") + request("GET", "/v1.41/images/json"));  // pipelined
  for (int i = 0; i < 3; ++i) {
    const std::string head = client.until("\r\n\r\n");
    EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 200") << i;
    client.body_of(head);
    if (i == 1) client.send(request("GET", "/info"));
  }
}

TEST_F(ServerTest, ConnectionClose) {
  Client client = connect();
  client.send(request("GET", "/_ping", "", "Connection: close\r\n"));
  const std::string all = client.rest();
  EXPECT_NE(all.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(all.ends_with("OK"));
}

TEST_F(ServerTest, StrictAndLenientErrors) {
  const Answer lenient = call("GET", "/containers/nope/json");
  EXPECT_EQ(lenient.status(), 404);
  EXPECT_EQ(lenient.body, "{\"message\":\"No such container: nope\"}\n");
  const Answer strict = call("GET", "/containers/nope/json", "", kStrict);
  EXPECT_EQ(strict.status(), 404);
  EXPECT_EQ(parse_json(strict.body).value()["code"].asString(), "NotFound");
  const Answer unknown = call("GET", "/containers/json?nosuch=1", "", kStrict);
  EXPECT_EQ(unknown.status(), 400);
  EXPECT_EQ(call("GET", "/containers/json?nosuch=1").status(), 200);
  const Answer field = call("POST", "/containers/create", R"({"Image":"busybox","Nope":1})", kStrict);
  EXPECT_EQ(field.status(), 400);
  EXPECT_EQ(parse_json(field.body).value()["details"]["path"].asString(), "Nope");
  EXPECT_EQ(call("POST", "/containers/create",
                 R"({"image":"busybox","cmd":"true","Nope":null,"hostconfig":{"networkmode":"none"}})")
                .status(),
            201);
}

TEST_F(ServerTest, BodyRules) {
  EXPECT_EQ(call("POST", "/containers/create").status(), 400);
  EXPECT_EQ(call("POST", "/containers/create", "{").status(), 400);
  Client typed = connect();
  typed.send("POST /containers/create HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(typed.until("\r\n\r\n").substr(9, 3), "400");
  Client large = connect();
  large.send(
      "POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
      "99999999\r\n\r\n");
  EXPECT_EQ(large.until("\r\n\r\n").substr(9, 3), "413");
  Client expecting = connect();
  expecting.send(
      "POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 67\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(expecting.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  expecting.send(R"({"Image":"busybox","Cmd":["x"],"HostConfig":{"NetworkMode":"none"}})");
  EXPECT_EQ(expecting.until("\r\n\r\n").substr(9, 3), "201");
}

TEST_F(ServerTest, HeadsHaveLimits) {
  Limits limits;
  limits.head_bytes = 2048;
  limits.head_ms = 200;
  start(limits);
  Client large = connect();
  large.send("GET /" + std::string(4000, 'a') + " HTTP/1.1\r\n\r\n");
  EXPECT_EQ(large.until("\r\n\r\n").substr(9, 3), "431");
  Client half = connect();
  half.send("GET /_ping HT");
  EXPECT_EQ(half.rest(), "");  // closed after 200 ms
  Client second = connect();
  second.send(request("GET", "/_ping") + "GET /_ping HT");
  const std::string head = second.until("\r\n\r\n");
  EXPECT_EQ(second.body_of(head), "OK");
  EXPECT_EQ(second.rest(), "");
  Client bad = connect();
  bad.send("what\r\n\r\n");
  EXPECT_EQ(bad.until("\r\n\r\n").substr(9, 3), "400");
}

TEST_F(ServerTest, HalfBodiesTimeOut) {
  Limits limits;
  limits.body_ms = 200;
  start(limits);
  Client client = connect();
  client.send(
      "POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{");
  EXPECT_EQ(client.until("\r\n\r\n").substr(9, 3), "504");
}

TEST_F(ServerTest, TooManyRequests) {
  Limits limits;
  limits.requests = 1;
  start(limits);
  Client events = connect();
  events.send(request("GET", "/events"));
  EXPECT_EQ(events.until("\r\n\r\n").substr(9, 3), "200");
  EXPECT_EQ(call("GET", "/_ping").status(), 503);
}

TEST_F(ServerTest, WaitSendsItsHeadAtOnce) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sh","-c","exit 7"]})");
  Client wait = connect();
  wait.send(request("POST", "/v1.41/containers/" + id + "/wait?condition=next-exit"));
  EXPECT_EQ(wait.until("\r\n\r\n").substr(9, 3), "200");
  EXPECT_EQ(call("POST", "/containers/" + id + "/start").status(), 204);
  EXPECT_EQ(wait.chunk(), "{\"Error\":null,\"StatusCode\":7}\n");
  EXPECT_EQ(wait.chunk(), "");
  EXPECT_EQ(call("POST", "/containers/" + id + "/wait", "", kStrict).status(), 200);
}

TEST_F(ServerTest, StrictMessagesEndWithARecord) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["true"]})");
  call("POST", "/containers/" + id + "/start");
  Client wait = connect();
  wait.send(request("POST", "/containers/" + id + "/wait", "", kStrict));
  wait.until("\r\n\r\n");
  std::string body;
  for (std::string piece = wait.chunk(); !piece.empty(); piece = wait.chunk()) body += piece;
  EXPECT_TRUE(body.starts_with("{\"StatusCode\":0}\n{\"pouchEnd\":{\"result\":")) << body;
}

TEST_F(ServerTest, HijackedAttachWithEarlyBytesAndHalfClose) {
  const std::string id = make_container(
      R"({"Image":"busybox","Cmd":["cat"],"OpenStdin":true,"StdinOnce":true,"AttachStdin":true})");
  Client attach = connect();
  attach.send(request("POST", "/v1.41/containers/" + id + "/attach?stream=1&stdin=1&stdout=1&stderr=1", "",
                      kUpgrade) +
              "early ");
  const std::string head = attach.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 UPGRADED\r\n")) << head;
  EXPECT_NE(head.find("Content-Type: application/vnd.docker.raw-stream"), std::string::npos);
  call("POST", "/containers/" + id + "/start");
  attach.send("late").end_sending();
  io::MuxDecoder decoder;
  decoder.feed(attach.rest());
  std::string text;
  while (true) {
    const auto frame = decoder.next();
    ASSERT_TRUE(frame.is_ok());
    if (!*frame) break;
    EXPECT_EQ((*frame)->stream, io::MuxStream::kStdout);
    text += (*frame)->data;
  }
  EXPECT_EQ(text, "early late");
}

// The whole conversation in one segment, and the client's end behind it.
TEST_F(ServerTest, EverythingAtOnce) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sleep","100"]})");
  call("POST", "/containers/" + id + "/start");
  const Answer made = call("POST", "/containers/" + id + "/exec",
                           R"({"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true,"AttachStderr":true})");
  const std::string exec = parse_json(made.body).value()["Id"].asString();
  Client client = connect();
  client.send(request("POST", "/exec/" + exec + "/start", "{}", kUpgrade) + "all").end_sending();
  EXPECT_EQ(client.until("\r\n\r\n").substr(9, 3), "101");
  EXPECT_EQ(client.rest(), io::mux_frame(io::MuxStream::kStdout, "all"));
  EXPECT_EQ(call("POST", "/containers/" + id + "/start", R"({"Binds":[]})").status(), 400);
  call("POST", "/containers/" + id + "/kill");
}

TEST_F(ServerTest, AttachWithoutUpgradeStreamsUntilClose) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["echo","hi"],"Tty":false})");
  Client attach = connect();
  attach.send(request("POST", "/containers/" + id + "/attach?stream=1&stdout=1&stderr=1"));
  const std::string head = attach.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
  call("POST", "/containers/" + id + "/start");
  EXPECT_EQ(attach.rest(), io::mux_frame(io::MuxStream::kStdout, "hi\n"));
}

TEST_F(ServerTest, StrictExecEndsWithItsExitCode) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sleep","100"]})");
  call("POST", "/containers/" + id + "/start");
  const Answer made =
      call("POST", "/containers/" + id + "/exec",
           R"({"Cmd":["sh","-c","echo hi; exit 3"],"AttachStdout":true,"AttachStderr":true})");
  ASSERT_EQ(made.status(), 201) << made.body;
  const std::string exec = parse_json(made.body).value()["Id"].asString();
  Client client = connect();
  client.send(request("POST", "/exec/" + exec + "/start", "{}", kStrict + kUpgrade));
  const std::string head = client.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
  EXPECT_NE(head.find("Pouch-Version: "), std::string::npos);
  EXPECT_EQ(client.rest(),
            io::mux_frame(io::MuxStream::kStdout, "hi\n") +
                io::mux_frame(io::MuxStream::kSystemError, R"({"pouchEnd":{"result":{"ExitCode":3}}})"));
  EXPECT_EQ(call("POST", "/exec/" + exec + "/start", "{}").status(), 409);
  call("POST", "/containers/" + id + "/kill");
}

TEST_F(ServerTest, DetachedExecIsAnEmptyAnswer) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sleep","100"]})");
  call("POST", "/containers/" + id + "/start");
  const Answer made = call("POST", "/containers/" + id + "/exec", R"({"Cmd":["true"]})");
  const std::string exec = parse_json(made.body).value()["Id"].asString();
  const Answer started = call("POST", "/exec/" + exec + "/start", R"({"Detach":true})");
  EXPECT_EQ(started.status(), 200);
  EXPECT_NE(started.head.find("Content-Length: 0"), std::string::npos);
  call("POST", "/containers/" + id + "/kill");
}

TEST_F(ServerTest, LogsAreMultiplexed) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sh","-c","echo out; echo err >&2"]})");
  call("POST", "/containers/" + id + "/start");
  call("POST", "/containers/" + id + "/wait");
  Client logs = connect();
  logs.send(request("GET", "/containers/" + id + "/logs?stdout=1&stderr=1&follow=1"));
  const std::string head = logs.until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Type: application/vnd.docker.multiplexed-stream"), std::string::npos);
  std::string body;
  for (std::string piece = logs.chunk(); !piece.empty(); piece = logs.chunk()) body += piece;
  EXPECT_EQ(body,
            io::mux_frame(io::MuxStream::kStdout, "out\n") + io::mux_frame(io::MuxStream::kStderr, "err\n"));
  EXPECT_EQ(call("GET", "/containers/" + id + "/logs").status(), 400);
}

TEST_F(ServerTest, UploadsFailAsAnAnswerOrALine) {
  Client early = connect();
  early.send(
      "POST /images/load HTTP/1.1\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n");
  early.send("5\r\nno ta\r\n1\r\nr\r\n0\r\n\r\n");
  const std::string head = early.until("\r\n\r\n");
  EXPECT_EQ(head.substr(9, 3), "400") << head << early.body_of(head);
}

TEST_F(ServerTest, UploadLargerThanAllBuffers) {
  Client client = connect();
  const std::string tar = tar_of(size_t{8} << 20U);
  client.send("POST /images/from-rootfs?reference=big HTTP/1.1\r\nPouch-Strict: 1\r\nContent-Length: " +
              std::to_string(tar.size()) + "\r\n\r\n");
  client.send(tar);
  EXPECT_EQ(client.until("\r\n\r\n").substr(9, 3), "200");
  const std::string record = client.chunk();
  EXPECT_NE(record.find("\"Reference\":\"big:latest\""), std::string::npos) << record;
}

// The call that never ends by itself: a stop of what does not stop.
TEST_F(ServerTest, HangUpCancelsACall) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sh","-c","trap '' TERM; sleep 100"]})");
  call("POST", "/containers/" + id + "/start");
  Limits limits;
  limits.stop_ms = 60'000;
  start(limits);
  Client client = connect();
  client.send(request("POST", "/containers/" + id + "/stop?t=-1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  client.close();
  const int64_t before = boot_now_ns();
  server_->stop();  // would wait a minute for the call
  EXPECT_LT(boot_now_ns() - before, int64_t{10} * 1'000'000'000);
  EXPECT_TRUE(engine_->container_kill(id, {}, {}).is_ok());
}

TEST_F(ServerTest, StopEndsStreams) {
  Client events = connect();
  events.send(request("GET", "/events", "", kStrict));
  events.until("\r\n\r\n");
  server_->stop();
  EXPECT_NE(events.rest().find("\"code\":\"Unavailable\""), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(ServerTest, HangUpEndsStreams) {
  for (int i = 0; i < 20; ++i) {
    Client events = connect();
    events.send(request("GET", "/events"));
    EXPECT_EQ(events.until("\r\n\r\n").substr(9, 3), "200");
  }
  Limits limits;
  limits.requests = 1;
  start(limits);  // waits for all streams of the old server
  EXPECT_EQ(call("GET", "/_ping").status(), 200);
}

TEST_F(ServerTest, SocketFiles) {
  struct stat info = {};
  ASSERT_EQ(::stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0660U);
  ServerOptions second;
  second.listen = {"unix://" + socket_};
  const auto taken = Server::start(second, [](Exchange&) {});
  EXPECT_EQ(taken.status().code(), Code::kConflict);
  // A file whose server was killed.
  const std::string stale = folder_ + "/stale";
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, stale.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  second.listen = {"unix://" + stale, "tcp://127.0.0.1:0"};
  const auto replaced = Server::start(second, [](Exchange&) {});
  ASSERT_TRUE(replaced.is_ok()) << replaced.status().to_string();
  EXPECT_TRUE((*replaced)->addresses()[1].starts_with("tcp://127.0.0.1:"));
  EXPECT_FALSE((*replaced)->addresses()[1].ends_with(":0"));
  second.listen = {"http://x"};
  EXPECT_EQ(Server::start(second, [](Exchange&) {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace pouch::http
