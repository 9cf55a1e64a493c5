#include <gtest/gtest.h>

#include "core/remote/address.h"
#include "core/remote/answer.h"
#include "core/remote/body_decoder.h"
#include "core/remote/dockerd.h"
#include "core/remote/target.h"
#include "core/remote/testing/http_server.h"

namespace pouch::remote {
namespace {

using api::OpFrames;

const api::OpInfo& op(const char* name) {
  return *api::find_operation(name);
}

TEST(Address, Forms) {
  EXPECT_EQ(Address::parse("unix:///run/p.sock")->socket, "/run/p.sock");
  EXPECT_EQ(Address::parse("tcp://host")->authority, "host:2375");
  EXPECT_EQ(Address::parse("tcp://[::1]:99/")->authority, "[::1]:99");
  EXPECT_EQ(Address::parse("tcp://[::1]")->authority, "[::1]:2375");
  for (const char* bad : {"unix://run/p", "unix://", "tcp://", "tcp://a b", "tcp://h/path", "x", "ftp://h"}) {
    EXPECT_EQ(Address::parse(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(Address::parse("unix:///" + std::string(200, 'x')).code(), Code::kInvalidArgument);
}

TEST(Target, EncodesIdsAndOptions) {
  Json options = json_object();
  options["all"] = true;
  options["limit"] = 3;
  options["filters"]["label"].append("a=b c");
  EXPECT_EQ(*request_target(op("container.list"), "1.50", {}, &options),
            "/v1.50/containers/json?all=1&limit=3&filters=%7B%22label%22%3A%5B%22a%3Db%20c%22%5D%7D");
  EXPECT_EQ(*request_target(op("image.inspect"), "", {"h:5/a/b c"}, nullptr), "/images/h%3A5/a/b%20c/json");
  EXPECT_EQ(*request_target(op("container.inspect"), "", {"a/../b"}, nullptr), "/containers/a%2F..%2Fb/json");
  EXPECT_EQ(*request_target(op("container.inspect"), "", {".."}, nullptr), "/containers/%2E%2E/json");
}

TEST(Target, TimesListsAndFalse) {
  Json options = json_object();
  options["stdout"] = false;
  options["since"] = "1970-01-01T00:01:00.5Z";
  EXPECT_EQ(*request_target(op("container.logs"), "", {"x"}, &options),
            "/containers/x/logs?stdout=0&since=60.500000000");
  Json rootfs = json_object();
  rootfs["cmd"].append("a");
  rootfs["cmd"].append("&b");
  EXPECT_EQ(*request_target(op("image.from_rootfs"), "", {}, &rootfs), "/images/from-rootfs?cmd=a&cmd=%26b");
  options["since"] = "yesterday";
  EXPECT_EQ(request_target(op("container.logs"), "", {"x"}, &options).code(), Code::kInvalidArgument);
}

TEST(Target, AccountsGoInHeaders) {
  Json options = json_object();
  options["fromImage"] = "busybox";
  options["auth"]["username"] = "me";
  EXPECT_EQ(*request_target(op("image.pull"), "1.50", {}, &options),
            "/v1.50/images/create?fromImage=busybox");
  EXPECT_EQ(option_headers(op("image.pull"), &options),
            std::vector<std::string>{"X-Registry-Auth: eyJ1c2VybmFtZSI6Im1lIn0="});
  options.removeMember("auth");
  EXPECT_TRUE(option_headers(op("image.pull"), &options).empty());
  EXPECT_TRUE(option_headers(op("image.list"), nullptr).empty());
}

TEST(Dockerd, IsAskedForOneTag) {
  const auto tag_of = [](const char* image) {
    Json options = json_object();
    options["fromImage"] = image;
    options["all-tags"] = false;
    std::vector<std::string> ids;
    const Json out = options_for_dockerd(op("image.pull"), {1, 41}, ids, &options);
    EXPECT_FALSE(out.isMember("all-tags"));
    return out["tag"].isString() ? out["tag"].asString() : "";
  };
  EXPECT_EQ(tag_of("busybox"), "latest");
  EXPECT_EQ(tag_of("localhost:5000/busybox"), "latest");
  EXPECT_EQ(tag_of("localhost:5000/busybox:1"), "");
  EXPECT_EQ(tag_of("busybox@sha256:0"), "");
  Json all = json_object();
  all["all-tags"] = true;
  EXPECT_EQ(check_dockerd_knows(op("image.pull"), &all, {1, 41}).code(), Code::kNotImplemented);
}

TEST(Dockerd, MakesNoIndex) {
  Json options = json_object();
  options["index"].append("busybox");
  const Status refused = check_dockerd_knows(op("image.push"), &options, {1, 50});
  EXPECT_EQ(refused.code(), Code::kNotImplemented);
  EXPECT_NE(refused.message().find("image.push: option index"), std::string::npos);
}

TEST(Dockerd, FetchesWhatIsImportedByUrl) {
  std::vector<std::string> ids;
  Json options = json_object();
  EXPECT_EQ(options_for_dockerd(op("image.import_tar"), {1, 41}, ids, &options)["fromSrc"], "-");
  options["fromSrc"] = "http://127.0.0.1/x.tar";
  EXPECT_EQ(options_for_dockerd(op("image.import_tar"), {1, 41}, ids, &options)["fromSrc"],
            "http://127.0.0.1/x.tar");
}

TEST(Dockerd, IsToldTheTagOfAPushApart) {
  const auto push_of = [](std::vector<std::string> ids, bool all_tags) {
    Json options = json_object();
    options["all-tags"] = all_tags;
    const Json out = options_for_dockerd(op("image.push"), {1, 41}, ids, &options);
    EXPECT_FALSE(out.isMember("all-tags"));
    EXPECT_TRUE(out["auth"].isObject());
    return ids.front() + " " + (out["tag"].isString() ? out["tag"].asString() : "");
  };
  EXPECT_EQ(push_of({"localhost:5000/a"}, false), "localhost:5000/a latest");
  EXPECT_EQ(push_of({"localhost:5000/a:1"}, false), "localhost:5000/a 1");
  EXPECT_EQ(push_of({"a"}, true), "a ");
}

TEST(Dockerd, ErrorsOfAPushAreToldApart) {
  const auto code_of = [](const char* text) {
    Json line = json_object();
    line["errorDetail"]["message"] = text;
    return canonical_message("image.push", write_json(line)).code();
  };
  EXPECT_EQ(code_of("tag does not exist: a:1"), Code::kNotFound);
  EXPECT_EQ(code_of("no basic auth credentials"), Code::kUnauthenticated);
  EXPECT_EQ(code_of("denied: requested access to the resource is denied"), Code::kPermissionDenied);
  EXPECT_EQ(code_of("received unexpected HTTP status: 500"), Code::kInternal);
}

TEST(HeadParser, SkipsInformationAndRefusesNonsense) {
  HeadParser parser;
  for (const char* line :
       {"HTTP/1.1 100 Continue\r\n", "\r\n", "HTTP/1.1 204 No\r\n", "A-b:  c \r\n", "\r\n"}) {
    ASSERT_TRUE(parser.feed_line(line).is_ok());
  }
  EXPECT_TRUE(parser.is_complete());
  EXPECT_EQ(parser.head().status, 204);
  EXPECT_EQ(parser.head().header("a-b"), "c");
  EXPECT_EQ(HeadParser().feed_line("SSH-2.0-x\r\n").code(), Code::kDataLoss);
  HeadParser long_one;
  ASSERT_TRUE(long_one.feed_line("HTTP/1.1 200 OK\r\n").is_ok());
  EXPECT_EQ(long_one.feed_line("A: " + std::string(kMaxHeadBytes, 'x')).code(), Code::kResourceExhausted);
}

TEST(ErrorOfAnswer, CodeOfPouchdStatusOfDockerd) {
  Head head;
  head.status = 409;
  const Status ours = error_of_answer(head, R"({"message":"m","code":"AlreadyExists","details":{"id":"x"}})",
                                      "container.create");
  EXPECT_EQ(ours.code(), Code::kAlreadyExists);
  EXPECT_EQ(ours.details_json(), R"({"id":"x"})");
  EXPECT_EQ(error_of_answer(head, "{\"message\":\"a\\nb\"}\n", "x").to_string(), "Conflict: a b");
  head.status = 404;
  EXPECT_EQ(error_of_answer(head, "No such container: x\r\n", "x").message(), "No such container: x");
  EXPECT_EQ(error_of_answer(head, R"({"message":"page not found"})", "a.b").code(), Code::kNotImplemented);
  head.status = 500;
  EXPECT_NE(error_of_answer(head, "", "a.b").message().find("a.b"), std::string::npos);
}

struct Decoded {
  std::string text;  ///< channel number and data of each frame
  Result<std::string> result;
};

Decoded decode(const BodyFormat& format, const std::string& body, size_t step) {
  const auto pipe = std::make_shared<StreamPipe>(format.merge ? QueuePolicy::kLatest : QueuePolicy::kBlock);
  const StreamPtr stream = pipe->open();
  BodyDecoder decoder(format, pipe);
  Status fed;
  for (size_t at = 0; at < body.size() && fed.is_ok(); at += step) fed = decoder.feed(body.substr(at, step));
  pipe->finish(decoder.finish(fed));
  Decoded out{"", Status(Code::kInternal, "")};
  Frame frame;
  while (true) {
    const Result<Next> next = stream->next(&frame, Deadline::after_ms(0));
    if (!next.is_ok() || *next != Next::kFrame) break;
    out.text += std::to_string(static_cast<uint32_t>(frame.channel)) + ":" + frame.data + "/" +
                std::to_string(frame.flags) + " ";
  }
  out.result = stream->finish({});
  return out;
}

TEST(BodyDecoder, StdioInAnyPieces) {
  const std::string body = mux(1, "out") + mux(2, "e") + mux(1, "") + mux(1, "x") +
                           mux(3, R"({"pouchEnd":{"result":{"ExitCode":3}}})");
  for (const size_t step : {size_t{1}, size_t{3}, size_t{8}, body.size()}) {
    const Decoded got = decode({.frames = OpFrames::kStdio}, body, step);
    EXPECT_EQ(got.text, "1:out/0 2:e/0 1:x/0 ") << step;
    EXPECT_EQ(*got.result, R"({"ExitCode":3})") << step;
  }
}

TEST(BodyDecoder, CutAndDamagedStdio) {
  const BodyFormat ours{.frames = OpFrames::kStdio};
  EXPECT_EQ(decode(ours, mux(1, "out"), 100).result.code(), Code::kUnavailable);
  EXPECT_EQ(decode(ours, mux(1, "out").substr(0, 9), 100).result.code(), Code::kUnavailable);
  EXPECT_EQ(decode(ours, "HTTP/1.1 200", 100).result.code(), Code::kDataLoss);
  EXPECT_EQ(decode(ours, mux(3, "{"), 100).result.code(), Code::kDataLoss);
  const BodyFormat docker{.frames = OpFrames::kStdio, .end_records = false};
  EXPECT_EQ(decode(docker, mux(1, "out"), 100).result.code(), Code::kOk);
  EXPECT_EQ(decode(docker, mux(1, "out").substr(0, 9), 100).result.code(), Code::kUnavailable);
  EXPECT_EQ(decode(docker, mux(3, "bad\n"), 100).result.status().message(), "bad");
}

TEST(BodyDecoder, MessagesWithLossAndError) {
  const std::string body =
      "{\"a\":1}\r\n\n{\"pouchLost\":7}\n{\"b\":\"\xc3\xa9\"}\n"
      R"({"pouchEnd":{"error":{"message":"m","code":"Lagged"}}})";
  for (const size_t step : {size_t{1}, size_t{5}, body.size()}) {
    const Decoded got = decode({.frames = OpFrames::kMessages}, body, step);
    EXPECT_EQ(got.text, "4:{\"a\":1}/0 4:{\"b\":\"\xc3\xa9\"}/7 ") << step;
    EXPECT_EQ(got.result.code(), Code::kLagged) << step;
  }
}

TEST(BodyDecoder, ProgressIsMerged) {
  const std::string body = R"({"id":"l","status":"a","progressDetail":{}}
{"stream":"text"}
{"id":"l","status":"b","progressDetail":{}}
{"pouchEnd":{"result":null}}
)";
  const Decoded got = decode({.frames = OpFrames::kMessages, .merge = true}, body, 1000);
  EXPECT_EQ(got.text, "4:{\"id\":\"l\",\"status\":\"b\",\"progressDetail\":{}}/0 4:{\"stream\":\"text\"}/0 ");
  EXPECT_EQ(*got.result, "");
}

TEST(Dockerd, Canonical) {
  EXPECT_EQ(*canonical_message("container.wait", R"({"Error":null,"StatusCode":3})"), R"({"StatusCode":3})");
  EXPECT_EQ(canonical_message("image.load", R"({"errorDetail":{"message":"bad tar"},"error":"bad tar"})")
                .status()
                .message(),
            "bad tar");
  LoadedImages loaded;
  loaded.take(R"({"stream":"Loaded image: a:b\n"})");
  loaded.take(R"({"stream":"Loaded image ID: sha256:1\n"})");
  EXPECT_EQ(loaded.references(), std::vector<std::string>{"a:b"});
  EXPECT_EQ(loaded.ids(), std::vector<std::string>{"sha256:1"});
}

TEST(Dockerd, WhatItDoesNotKnow) {
  Json options = json_object();
  options["signal"] = "INT";
  EXPECT_EQ(check_dockerd_knows(op("container.stop"), &options, {1, 41}).code(), Code::kNotImplemented);
  EXPECT_TRUE(check_dockerd_knows(op("container.stop"), &options, {1, 42}).is_ok());
  EXPECT_TRUE(check_dockerd_knows(op("container.stop"), nullptr, {1, 41}).is_ok());
  EXPECT_EQ(check_dockerd_knows(op("image.from_rootfs"), nullptr, {1, 50}).code(), Code::kNotImplemented);
}

// What an older one would do otherwise, or not at all, is not asked of it.
TEST(Dockerd, RefusesVolumesThatAnOlderOneMistakes) {
  Json options = json_object();
  EXPECT_EQ(check_dockerd_knows(op("volume.prune"), &options, {1, 41}).code(), Code::kNotImplemented);
  EXPECT_TRUE(check_dockerd_knows(op("volume.prune"), &options, {1, 42}).is_ok());
  options["filters"]["all"].append("true");
  EXPECT_TRUE(check_dockerd_knows(op("volume.prune"), &options, {1, 41}).is_ok());
  std::vector<std::string> ids;
  EXPECT_EQ(write_json(options_for_dockerd(op("volume.prune"), {1, 41}, ids, &options)), R"({"filters":{}})");
  EXPECT_EQ(options_for_dockerd(op("volume.prune"), {1, 42}, ids, &options), options);
  Json config = json_object();
  Json& mount = config["HostConfig"]["Mounts"].append(json_object());
  mount["Type"] = "image";
  EXPECT_EQ(check_dockerd_mounts(op("container.create"), &config, {1, 47}).code(), Code::kNotImplemented);
  EXPECT_TRUE(check_dockerd_mounts(op("container.create"), &config, {1, 48}).is_ok());
  mount["Type"] = "volume";
  mount["VolumeOptions"]["Subpath"] = "a";
  EXPECT_EQ(check_dockerd_mounts(op("container.create"), &config, {1, 44}).code(), Code::kNotImplemented);
  EXPECT_TRUE(check_dockerd_mounts(op("container.create"), &config, {1, 45}).is_ok());
  mount["Type"] = "bind";
  mount.removeMember("VolumeOptions");
  for (const char* const name : {"ReadOnlyNonRecursive", "ReadOnlyForceRecursive"}) {
    mount["BindOptions"] = json_object();
    mount["BindOptions"][name] = false;
    EXPECT_TRUE(check_dockerd_mounts(op("container.create"), &config, {1, 43}).is_ok());
    mount["BindOptions"][name] = true;
    EXPECT_EQ(check_dockerd_mounts(op("container.create"), &config, {1, 43}).code(), Code::kNotImplemented);
    EXPECT_TRUE(check_dockerd_mounts(op("container.create"), &config, {1, 44}).is_ok());
  }
  EXPECT_EQ(ApiVersion::parse("1.41").str(), "1.41");
  EXPECT_EQ(ApiVersion::parse("x"), ApiVersion{});
}

}  // namespace
}  // namespace pouch::remote
