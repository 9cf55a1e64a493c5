#include <gtest/gtest.h>

#include "core/api/json.h"
#include "daemon/http/message.h"
#include "daemon/http/query.h"
#include "daemon/http/request_parser.h"
#include "daemon/http/router.h"
#include "daemon/http/wire.h"

namespace pouch::http {
namespace {

TEST(MessageTest, PercentDecoding) {
  EXPECT_EQ(percent_decode("a%2Fb+c", false).value(), "a/b+c");
  EXPECT_EQ(percent_decode("a+b%20%c3%A9", true).value(), "a b \xC3\xA9");
  EXPECT_EQ(percent_decode("%41", false).value(), "A");
  for (const char* bad : {"%", "%4", "%zz", "a%4"}) EXPECT_FALSE(percent_decode(bad, false).is_ok()) << bad;
}

TEST(MessageTest, Query) {
  const QueryItems items = parse_query("a=1&b=x%26y&&c&names=p&names=q=r").value();
  const QueryItems expected = {{"a", "1"}, {"b", "x&y"}, {"c", ""}, {"names", "p"}, {"names", "q=r"}};
  EXPECT_EQ(items, expected);
}

TEST(MessageTest, Date) {
  const std::string date = http_date();
  EXPECT_EQ(date.size(), std::string("Mon, 02 Jan 2006 15:04:05 GMT").size()) << date;
}

std::string routed(std::string_view method, std::string_view path) {
  const Route route = find_route(method, path);
  std::string text = route.op == nullptr ? "none" : std::string(route.op->name);
  for (const std::string& id : route.ids) text += " " + id;
  return text;
}

TEST(RouterTest, FindsOperations) {
  EXPECT_EQ(routed("GET", "/containers/json"), "container.list");
  EXPECT_EQ(routed("GET", "/containers/abc/json"), "container.inspect abc");
  EXPECT_EQ(routed("DELETE", "/containers/abc"), "container.remove abc");
  EXPECT_EQ(routed("GET", "/images/json"), "image.list");
  EXPECT_EQ(routed("POST", "/images/load"), "image.load");
  EXPECT_EQ(routed("HEAD", "/_ping"), "system.ping");
  EXPECT_EQ(routed("POST", "/exec/e1/start"), "exec.start e1");
}

TEST(RouterTest, ImageNamesMayHoldSlashes) {
  EXPECT_EQ(routed("GET", "/images/r.io:5000/a/b:t/json"), "image.inspect r.io:5000/a/b:t");
  EXPECT_EQ(routed("GET", "/images/r.io%2Fa%2Fb/json"), "image.inspect r.io/a/b");
  EXPECT_EQ(routed("GET", "/images/x/json/json"), "image.inspect x/json");
  EXPECT_EQ(routed("POST", "/images/a/b/tag"), "image.tag a/b");
  EXPECT_EQ(routed("DELETE", "/images/a/b"), "image.remove a/b");
}

TEST(RouterTest, NothingElse) {
  for (const char* path : {"/", "", "/nosuch", "/containers", "/containers//json", "/containers/a/b/json",
                           "/containers/%zz/json"}) {
    EXPECT_EQ(routed("GET", path), "none") << path;
  }
  EXPECT_EQ(routed("PUT", "/containers/json"), "none");
  EXPECT_EQ(routed("HEAD", "/containers/json"), "none");
}

TEST(RouterTest, Targets) {
  const Target plain = parse_target("/containers/json?all=1");
  EXPECT_EQ(plain.version + "|" + plain.path + "|" + plain.query, "|/containers/json|all=1");
  const Target versioned = parse_target("/v1.41/_ping");
  EXPECT_EQ(versioned.version + "|" + versioned.path, "1.41|/_ping");
  const Target absolute = parse_target("http://docker/v1.24/info");
  EXPECT_EQ(absolute.version + "|" + absolute.path, "1.24|/info");
  EXPECT_EQ(parse_target("/volumes/v1").version, "");
}

std::string options(const char* op, const char* query, bool is_strict) {
  const Result<Json> got =
      options_from_query(*api::find_operation(op), parse_query(query).value(), is_strict);
  return got.is_ok() ? write_json(*got) : got.status().to_string();
}

TEST(QueryTest, LenientBooleansAreMobys) {
  for (const char* no : {"all=", "all=0", "all=no", "all=False", "all=none", ""}) {
    const std::string got = options("container.list", no, false);
    EXPECT_TRUE(got == "{}" || got == R"({"all":false})") << no << ": " << got;
  }
  for (const char* yes : {"all=1", "all=true", "all=True", "all=x", "all=2"}) {
    EXPECT_EQ(options("container.list", yes, false), R"({"all":true})") << yes;
  }
}

TEST(QueryTest, LenientIgnoresWhatItDoesNotKnow) {
  EXPECT_EQ(options("container.list", "future=1&limit=3&limit=4", false), R"({"limit":3})");
  EXPECT_EQ(options("container.stop", "t=", false), "{}");
  EXPECT_EQ(options("container.stop", "t=x", false), R"(InvalidArgument: t: expected an integer, got "x")");
  EXPECT_EQ(options("container.list", "filters=%7B%22a%22%3A1%7D", false), R"({"filters":{"a":1}})");
}

TEST(QueryTest, Times) {
  EXPECT_EQ(options("system.events", "since=1.5", true), R"({"since":"1970-01-01T00:00:01.5Z"})");
  EXPECT_EQ(options("system.events", "since=2020-01-01T00:00:00Z", false),
            R"({"since":"2020-01-01T00:00:00Z"})");
  EXPECT_TRUE(options("system.events", "since=2020-01-01T00:00:00Z", true).starts_with("InvalidArgument"));
}

TEST(QueryTest, StrictTakesCanonicalFormsOnly) {
  EXPECT_EQ(options("container.list", "all=1&limit=-1", true), R"({"all":true,"limit":-1})");
  for (const char* bad : {"all=true", "future=1", "limit=1&limit=1", "limit="}) {
    EXPECT_TRUE(options("container.list", bad, true).starts_with("InvalidArgument")) << bad;
  }
  EXPECT_EQ(options("image.remove", "platforms=a&platforms=b", true), R"({"platforms":["a","b"]})");
}

// Feeds a request in pieces of `step` bytes; the method, target and body, then what is left over.
std::string parse_in_steps(const std::string& bytes, size_t step) {
  RequestParser parser(4096);
  std::string buffer;
  std::string body;
  bool has_head = false;
  for (size_t at = 0; at < bytes.size() && !(has_head && parser.is_done()); at += step) {
    buffer += bytes.substr(at, step);
    if (!has_head) {
      const Result<bool> whole = parser.parse_head(buffer);
      if (!whole.is_ok()) return whole.status().to_string();
      has_head = *whole;
    }
    while (has_head && !parser.is_done()) {
      const Result<std::string> part = parser.parse_body(buffer, 7);
      if (!part.is_ok()) return part.status().to_string();
      if (part->empty()) break;
      body += *part;
    }
  }
  return parser.head().method + " " + parser.head().target + " " + body +
         (parser.is_done() ? " done " : " open ") + buffer;
}

TEST(QueryTest, OptionsInHeaders) {
  const auto auth_of = [](const std::string& value, bool is_strict) -> Result<Json> {
    RequestHead head;
    head.headers.emplace_back("X-Registry-Auth", value);
    Json options = json_object();
    POUCH_RETURN_IF_ERROR(
        add_options_from_headers(*api::find_operation("image.pull"), head, is_strict, options));
    return options["auth"];
  };
  EXPECT_EQ((*auth_of("eyJ1c2VybmFtZSI6Im1lIn0=", true))["username"].asString(), "me");
  EXPECT_EQ((*auth_of("eyJ1c2VybmFtZSI6Im1lIn0", false))["username"].asString(), "me");
  for (const char* bad : {"%%%", "bm8ganNvbg==", "W10="}) {
    EXPECT_TRUE(auth_of(bad, false)->isNull()) << bad;
    const Status refused = auth_of(bad, true).status();
    EXPECT_EQ(refused.code(), Code::kInvalidArgument) << bad;
    EXPECT_EQ(refused.message().find(bad), std::string::npos) << "it may be secret";
  }
  // Not by the query.
  EXPECT_EQ(
      options_from_query(*api::find_operation("image.pull"), parse_query("auth={}").value(), true).code(),
      Code::kInvalidArgument);
}

TEST(ParserTest, BodiesInAnyPieces) {
  const std::string head = "POST /x HTTP/1.1\r\nHost: d\r\n";
  for (const size_t step : {1U, 2U, 3U, 5U, 1000U}) {
    EXPECT_EQ(parse_in_steps(head + "Content-Length: 12\r\n\r\nhello, world", step),
              "POST /x hello, world done ");
    EXPECT_EQ(parse_in_steps(
                  head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", step),
              "POST /x hello, world done ");
    EXPECT_EQ(parse_in_steps(head + "\r\n", step), "POST /x  done ");
  }
}

TEST(ParserTest, WhatFollowsStays) {
  EXPECT_EQ(parse_in_steps("POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nabraw bytes", 1000),
            "POST /x ab done raw bytes");
  EXPECT_EQ(parse_in_steps("POST /x HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nraw", 1000),
            "POST /x  done raw");
}

TEST(ParserTest, BadRequests) {
  EXPECT_TRUE(parse_in_steps("hello\r\n\r\n", 100).starts_with("InvalidArgument"));
  EXPECT_TRUE(parse_in_steps("GET /x HTTP/1.1\r\nA: " + std::string(8000, 'a') + "\r\n\r\n", 9000)
                  .starts_with("ResourceExhausted"));
  EXPECT_TRUE(parse_in_steps("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\n\r\n", 100)
                  .starts_with("ResourceExhausted"));
}

TEST(WireTest, EndRecords) {
  EXPECT_EQ(end_record({}, ""), R"({"pouchEnd":{"result":null}})");
  EXPECT_EQ(end_record({}, R"({"ExitCode":0})"), R"({"pouchEnd":{"result":{"ExitCode":0}}})");
  EXPECT_EQ(end_record(Status(Code::kLagged, "slow", R"({"at":1})"), ""),
            R"({"pouchEnd":{"error":{"code":"Lagged","details":{"at":1},"message":"slow"}}})");
  EXPECT_EQ(end_trailer({}, "1"), "Pouch-End: eyJwb3VjaEVuZCI6eyJyZXN1bHQiOjF9fQ==\r\n");
  EXPECT_EQ(lost_record(7), R"({"pouchLost":7})");
}

}  // namespace
}  // namespace pouch::http
