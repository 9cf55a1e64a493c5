#include "core/base/finding.h"

#include <gtest/gtest.h>

namespace pouch {
namespace {

TEST(FindingTest, ErrorAndFindingAreTheSameText) {
  const Finding finding = findings::unreachable_containerd("/run/\"x\".sock", unavailable("nobody listens"));
  const Status status = finding.status(Code::kUnavailable);
  EXPECT_EQ(status.message(), finding.message + "; " + finding.fix);
  const Finding back = finding_of(status, "other");
  EXPECT_EQ(back.name, "containerd");
  EXPECT_EQ(back.level, FindingLevel::kError);
  EXPECT_EQ(back.message, finding.message);
  EXPECT_EQ(back.fix, finding.fix);
}

TEST(FindingTest, ContextStaysInTheMessage) {
  const Status status = findings::not_root(7).status(Code::kPermissionDenied, "open \"/r\"").prefix("run");
  const Finding back = finding_of(status, "other");
  EXPECT_EQ(back.name, "user");
  EXPECT_EQ(back.message, "run: open \"/r\": the local engine needs to be root, this is user 7");
  EXPECT_EQ(back.fix, findings::not_root(7).fix);
}

TEST(FindingTest, OtherErrorsAreTakenWhole) {
  const Finding finding = finding_of(Status(Code::kInternal, "a; b", "{\"fix\":\"b\"}"), "thing");
  EXPECT_EQ(finding.name, "thing");
  EXPECT_EQ(finding.message, "a; b");
  EXPECT_EQ(finding.fix, "");
}

TEST(FindingTest, QuotesAndBackslashesInTheFixSurvive) {
  const Finding finding = findings::bad_folder("/a", "why", "say \"x\\y\"");
  EXPECT_EQ(finding_of(finding.status(Code::kConflict), "").fix, finding.fix);
}

}  // namespace
}  // namespace pouch
