#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "daemon/http/testing/server_fixture.h"

namespace pouch::http {
namespace {

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

// The call that never ends by itself: a stop of what does not stop.
TEST_F(ServerTest, HangUpCancelsACall) {
  const std::string id =
      make_container(R"({"Image":"busybox","Cmd":["sh","-c","trap '' TERM; echo ready; sleep 100"]})");
  call("POST", "/containers/" + id + "/start");
  {
    Client logs = connect();
    logs.send(request("GET", "/containers/" + id + "/logs?stdout=1&follow=1"));
    logs.until("ready");
  }
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
