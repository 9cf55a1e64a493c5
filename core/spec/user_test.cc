#include "core/spec/user.h"

#include <gtest/gtest.h>

namespace pouch::spec {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/sh\nbroken\n";
constexpr std::string_view kGroup = "root:x:0:\nstaff:x:50:root,web\nweb:x:34:\n";

TEST(User, Resolves) {
  const auto root = resolve_user("", {}, kPasswd, kGroup);
  EXPECT_EQ(root->uid, 0U);
  EXPECT_EQ(root->home, "/root");
  EXPECT_EQ(root->additional_gids, (std::vector<uint32_t>{0, 50}));
  const auto web = resolve_user("web", {"7"}, kPasswd, kGroup);
  EXPECT_EQ(web->uid, 33U);
  EXPECT_EQ(web->gid, 34U);
  EXPECT_EQ(web->additional_gids, (std::vector<uint32_t>{34, 50, 7}));
  const auto both = resolve_user("33:staff", {}, kPasswd, kGroup);
  EXPECT_EQ(both->gid, 50U);
  EXPECT_EQ(both->additional_gids, std::vector<uint32_t>{50});
  EXPECT_EQ(resolve_user("1234", {}, "", "")->uid, 1234U);
}

TEST(User, RefusesUnknownNames) {
  EXPECT_EQ(resolve_user("nobody", {}, kPasswd, kGroup).code(), Code::kInvalidArgument);
  EXPECT_EQ(resolve_user("web:none", {}, kPasswd, kGroup).code(), Code::kInvalidArgument);
  EXPECT_EQ(resolve_user("4294967295", {}, kPasswd, kGroup).code(), Code::kInvalidArgument);
  EXPECT_TRUE(is_numeric_user("1:2"));
  EXPECT_FALSE(is_numeric_user("1:staff"));
}

}  // namespace
}  // namespace pouch::spec
