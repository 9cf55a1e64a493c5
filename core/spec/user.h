#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace pouch::spec {

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids;
  std::string home;  ///< from passwd; "/" when unknown
};

/// True when `user` ("", "0", "1000:1000") needs neither passwd nor group to be understood.
bool is_numeric_user(std::string_view user);

/// Resolves "user[:group]" as Docker does, with the texts of the container's /etc/passwd and /etc/group (may
/// be empty). `group_add` are HostConfig.GroupAdd. InvalidArgument for names that are in neither.
Result<User> resolve_user(std::string_view user, const std::vector<std::string>& group_add,
                          std::string_view passwd, std::string_view group);

}  // namespace pouch::spec
