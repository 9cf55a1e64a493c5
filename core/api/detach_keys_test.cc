#include "core/api/detach_keys.h"

#include <gtest/gtest.h>

namespace pouch {
namespace {

TEST(ParseDetachKeys, KnowsDockersNames) {
  EXPECT_EQ(*parse_detach_keys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(*parse_detach_keys("a,ctrl-["), std::string("a\x1b"));
  EXPECT_EQ(*parse_detach_keys("ctrl-@"), std::string(1, '\0'));
  EXPECT_EQ(*parse_detach_keys(""), "");
  for (const char* bad : {"ctrl-", "ab", "a,,b", "ctrl-A", "ctrl-1"}) {
    EXPECT_EQ(parse_detach_keys(bad).code(), Code::kInvalidArgument) << bad;
  }
}

struct Typed {
  const char* keys;
  std::vector<std::string> pieces;
  std::string passed;
  bool pressed;
};

class Typing : public testing::TestWithParam<Typed> {};

TEST_P(Typing, PassesAllButTheKeys) {
  const Typed& typed = GetParam();
  DetachKeys keys(typed.keys);
  std::string passed;
  for (const std::string& piece : typed.pieces) passed += keys.pass(piece);
  EXPECT_EQ(keys.were_pressed(), typed.pressed);
  EXPECT_EQ(passed + keys.rest(), typed.passed);
}

INSTANTIATE_TEST_SUITE_P(
    Keys, Typing,
    testing::Values(Typed{"", {"hi\r"}, "hi\r", false}, Typed{"", {"hi\x10\x11more", "more"}, "hi", true},
                    Typed{"", {"hi\x10", "\x11"}, "hi", true},
                    Typed{"", {"\x10", "x\x10"}, "\x10x\x10", false},
                    Typed{"", {"\x10\x10\x11"}, "\x10", true}, Typed{"aab", {"aaab"}, "a", true},
                    Typed{"abac", {"ababac"}, "ab", true}, Typed{"ab", {"b", "a", "a"}, "baa", false},
                    Typed{"q", {std::string("\0\xff", 2), "q"}, std::string("\0\xff", 2), true}));

TEST(DetachKeys, HoldsBackWhatMayBeTheirBeginning) {
  DetachKeys keys("");
  EXPECT_EQ(keys.pass("a\x10"), "a");
  EXPECT_EQ(keys.pass("b"),
            "\x10"
            "b");
}

}  // namespace
}  // namespace pouch
