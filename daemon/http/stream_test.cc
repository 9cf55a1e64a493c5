#include "core/io/stdcopy.h"
#include "daemon/http/testing/server_fixture.h"

namespace pouch::http {
namespace {

class StreamTest : public ServerTest {};

TEST_F(StreamTest, WaitSendsItsHeadAtOnce) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sh","-c","exit 7"]})");
  Client wait = connect();
  wait.send(request("POST", "/v1.41/containers/" + id + "/wait?condition=next-exit"));
  EXPECT_EQ(wait.until("\r\n\r\n").substr(9, 3), "200");
  EXPECT_EQ(call("POST", "/containers/" + id + "/start").status(), 204);
  EXPECT_EQ(wait.chunk(), "{\"Error\":null,\"StatusCode\":7}\n");
  EXPECT_EQ(wait.chunk(), "");
  EXPECT_EQ(call("POST", "/containers/" + id + "/wait", "", kStrict).status(), 200);
}

TEST_F(StreamTest, StrictMessagesEndWithARecord) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["true"]})");
  call("POST", "/containers/" + id + "/start");
  Client wait = connect();
  wait.send(request("POST", "/containers/" + id + "/wait", "", kStrict));
  wait.until("\r\n\r\n");
  std::string body;
  for (std::string piece = wait.chunk(); !piece.empty(); piece = wait.chunk()) body += piece;
  EXPECT_TRUE(body.starts_with("{\"StatusCode\":0}\n{\"pouchEnd\":{\"result\":")) << body;
}

TEST_F(StreamTest, HijackedAttachWithEarlyBytesAndHalfClose) {
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
TEST_F(StreamTest, EverythingAtOnce) {
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

TEST_F(StreamTest, AttachWithoutUpgradeStreamsUntilClose) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["echo","hi"],"Tty":false})");
  Client attach = connect();
  attach.send(request("POST", "/containers/" + id + "/attach?stream=1&stdout=1&stderr=1"));
  const std::string head = attach.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
  call("POST", "/containers/" + id + "/start");
  EXPECT_EQ(attach.rest(), io::mux_frame(io::MuxStream::kStdout, "hi\n"));
}

TEST_F(StreamTest, StrictExecEndsWithItsExitCode) {
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

TEST_F(StreamTest, DetachedExecIsAnEmptyAnswer) {
  const std::string id = make_container(R"({"Image":"busybox","Cmd":["sleep","100"]})");
  call("POST", "/containers/" + id + "/start");
  const Answer made = call("POST", "/containers/" + id + "/exec", R"({"Cmd":["true"]})");
  const std::string exec = parse_json(made.body).value()["Id"].asString();
  const Answer started = call("POST", "/exec/" + exec + "/start", R"({"Detach":true})");
  EXPECT_EQ(started.status(), 200);
  EXPECT_NE(started.head.find("Content-Length: 0"), std::string::npos);
  call("POST", "/containers/" + id + "/kill");
}

TEST_F(StreamTest, LogsAreMultiplexed) {
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

TEST_F(StreamTest, UploadsFailAsAnAnswerOrALine) {
  Client early = connect();
  early.send(
      "POST /images/load HTTP/1.1\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n");
  early.send("5\r\nno ta\r\n1\r\nr\r\n0\r\n\r\n");
  const std::string head = early.until("\r\n\r\n");
  EXPECT_EQ(head.substr(9, 3), "400") << head << early.body_of(head);
}

TEST_F(StreamTest, UploadLargerThanAllBuffers) {
  Client client = connect();
  const std::string tar = tar_of(size_t{8} << 20U);
  client.send("POST /images/from-rootfs?reference=big HTTP/1.1\r\nPouch-Strict: 1\r\nContent-Length: " +
              std::to_string(tar.size()) + "\r\n\r\n");
  client.send(tar);
  EXPECT_EQ(client.until("\r\n\r\n").substr(9, 3), "200");
  const std::string record = client.chunk();
  EXPECT_NE(record.find("\"Reference\":\"big:latest\""), std::string::npos) << record;
}

}  // namespace
}  // namespace pouch::http
