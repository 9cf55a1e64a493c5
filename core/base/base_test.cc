#include <gtest/gtest.h>

#include "core/base/byte_size.h"
#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/scope_guard.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace pouch {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return invalid_argument("odd");
  return n / 2;
}

Result<int> quarter(int n) {
  POUCH_ASSIGN_OR_RETURN(const int h, half(n));
  POUCH_ASSIGN_OR_RETURN(const int q, half(h));
  return q;
}

TEST(Status, PrefixesOutermostFirst) {
  const Status status = not_found("no such image").prefix("start container \"x\"");
  EXPECT_EQ(status.to_string(), "NotFound: start container \"x\": no such image");
  EXPECT_TRUE(Status().prefix("x").is_ok());
}

TEST(Status, ResultPropagates) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).code(), Code::kInvalidArgument);
}

TEST(Status, CodesMapToHttpAndBack) {
  EXPECT_EQ(http_status(Code::kConflict), 409);
  EXPECT_EQ(code_from_http(404), Code::kNotFound);
  EXPECT_EQ(code_from_http(418), Code::kInvalidArgument);
  EXPECT_EQ(code_from_name(code_name(Code::kLagged)), Code::kLagged);
}

TEST(Timestamp, FormatsLikeGo) {
  EXPECT_EQ((Timestamp{1'700'000'000'500'000'000}).to_rfc3339(), "2023-11-14T22:13:20.5Z");
  EXPECT_EQ(Timestamp{}.to_rfc3339(), "0001-01-01T00:00:00Z");
  EXPECT_EQ((Timestamp{-1}).to_rfc3339(), "1969-12-31T23:59:59.999999999Z");
}

TEST(Timestamp, Parses) {
  EXPECT_EQ(Timestamp::parse_rfc3339("2023-11-14T23:13:20.5+01:00")->ns, 1'700'000'000'500'000'000);
  EXPECT_TRUE(Timestamp::parse_rfc3339("0001-01-01T00:00:00Z")->is_zero());
  for (const char* bad : {"", "2023-11-14", "2023-13-01T00:00:00Z", "2023-11-14T22:13:20",
                          "2023-11-14T22:13:20.Z", "9999-01-01T00:00:00Z"}) {
    EXPECT_EQ(Timestamp::parse_rfc3339(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(Timestamp::parse_unix_decimal("12.000000005")->ns, 12'000'000'005);
  EXPECT_EQ((Timestamp{12'000'000'005}).to_unix_decimal(), "12.000000005");
  EXPECT_EQ(Timestamp::parse_unix_decimal("1x").code(), Code::kInvalidArgument);
}

TEST(Id, IsRandomHex) {
  const std::string id = new_object_id();
  EXPECT_EQ(id.size(), 64U);
  EXPECT_TRUE(is_hex(id));
  EXPECT_NE(id, new_object_id());
  EXPECT_EQ(sha256_digest("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Text, QuotesForeignBytes) {
  EXPECT_EQ(quote("a\"b\n\x01\xff"), "\"a\\\"b\\n\\x01\\xff\"");
  EXPECT_TRUE(is_valid_utf8("grüß"));
  EXPECT_FALSE(is_valid_utf8("\xc0\x80"));
  EXPECT_EQ(split("a,,b", ',').size(), 3U);
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
}

TEST(Cancel, CallbacksRunOnceAndAtOnceWhenLate) {
  CancelToken token;
  int calls = 0;
  token.add([&] { ++calls; });
  const int removed = token.add([&] { calls += 100; });
  token.remove(removed);
  token.fire();
  token.fire();
  token.add([&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

TEST(ScopeGuard, RunsUnlessDismissed) {
  int runs = 0;
  {
    const ScopeGuard guard([&] { ++runs; });
    ScopeGuard other([&] { ++runs; });
    other.dismiss();
  }
  EXPECT_EQ(runs, 1);
}

// --- amounts ---

TEST(ByteSize, IsReadAsDockerDoes) {
  const std::pair<const char*, int64_t> good[] = {
      {"0", 0},      {"512", 512},      {"1b", 1},         {"100m", 100 << 20}, {"1.5 GiB", 3ll << 29},
      {"2KB", 2048}, {"7t", 7ll << 40}, {"1p", 1ll << 50}, {"1.9", 1}};
  for (const auto& [text, bytes] : good) EXPECT_EQ(*parse_byte_size(text), bytes) << text;
  for (const char* bad : {"", "-1", "m", " 1", "1..2", "1 x", "1mib2", "1bb", "9000p", "1e3", "\xff"})
    EXPECT_EQ(parse_byte_size(bad).code(), Code::kInvalidArgument) << bad;
  EXPECT_EQ(parse_byte_size("10 lots").status().message(), "invalid suffix: \"lots\"");
}

}  // namespace
}  // namespace pouch
