#include "core/spec/user.h"

#include <algorithm>
#include <optional>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::spec {
namespace {

std::optional<uint32_t> parse_id(std::string_view text) {
  const auto value = whole_number<uint32_t>(text);
  if (value && *value > 2147483647) return std::nullopt;  // runc refuses more
  return value;
}

struct PasswdRow {
  std::string name;
  uint32_t uid;
  uint32_t gid;
  std::string home;
};

struct GroupRow {
  std::string name;
  uint32_t gid;
  std::vector<std::string> members;
};

std::vector<PasswdRow> parse_passwd(std::string_view text) {
  std::vector<PasswdRow> rows;
  for (const std::string& line : split(text, '\n')) {
    const auto parts = split(trim(line), ':');
    if (parts.size() < 6) continue;
    const auto uid = parse_id(parts[2]);
    const auto gid = parse_id(parts[3]);
    if (uid && gid) rows.push_back({parts[0], *uid, *gid, parts[5]});
  }
  return rows;
}

std::vector<GroupRow> parse_group(std::string_view text) {
  std::vector<GroupRow> rows;
  for (const std::string& line : split(text, '\n')) {
    const auto parts = split(trim(line), ':');
    if (parts.size() < 3) continue;
    const auto gid = parse_id(parts[2]);
    if (gid)
      rows.push_back({parts[0], *gid, parts.size() > 3 ? split(parts[3], ',') : std::vector<std::string>{}});
  }
  return rows;
}

std::optional<uint32_t> find_group(std::string_view wanted, const std::vector<GroupRow>& groups) {
  for (const GroupRow& row : groups) {
    if (row.name == wanted) return row.gid;
  }
  return parse_id(wanted);
}

}  // namespace

bool is_numeric_user(std::string_view user) {
  if (user.empty()) return true;
  const size_t colon = user.find(':');
  if (!parse_id(user.substr(0, colon))) return false;
  return colon == std::string_view::npos || parse_id(user.substr(colon + 1)).has_value();
}

Result<User> resolve_user(std::string_view user, const std::vector<std::string>& group_add,
                          std::string_view passwd, std::string_view group) {
  const size_t colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  const std::vector<GroupRow> groups = parse_group(group);
  User out;
  out.home = "/";
  std::string login;
  const auto numeric = name.empty() ? std::optional<uint32_t>(0) : parse_id(name);
  bool found = false;
  for (const PasswdRow& row : parse_passwd(passwd)) {
    if (row.name != name && (!numeric || row.uid != *numeric)) continue;
    out.uid = row.uid;
    out.gid = row.gid;
    out.home = row.home.empty() ? "/" : row.home;
    login = row.name;
    found = true;
    break;
  }
  if (!found) {
    if (!numeric) {
      return invalid_argument("unable to find user " + std::string(name) +
                              ": no matching entries in passwd file");
    }
    out.uid = *numeric;
  }
  if (colon != std::string_view::npos && colon + 1 < user.size()) {
    const std::string_view wanted = user.substr(colon + 1);
    const auto gid = find_group(wanted, groups);
    if (!gid) {
      return invalid_argument("unable to find group " + std::string(wanted) +
                              ": no matching entries in group file");
    }
    out.gid = *gid;
  } else if (!login.empty()) {
    // Supplementary groups only where no group was asked for, as in Docker.
    for (const GroupRow& row : groups) {
      const bool member = std::find(row.members.begin(), row.members.end(), login) != row.members.end();
      if (member) out.additional_gids.push_back(row.gid);
    }
  }
  for (const std::string& extra : group_add) {
    const auto gid = find_group(extra, groups);
    if (!gid)
      return invalid_argument("Unable to find group " + extra + ": no matching entries in group file");
    out.additional_gids.push_back(*gid);
  }
  // Dropping a supplementary group must not be a way round a file's mode (CVE-2022-36109): the own group is
  // one too.
  if (std::ranges::find(out.additional_gids, out.gid) == out.additional_gids.end()) {
    out.additional_gids.insert(out.additional_gids.begin(), out.gid);
  }
  return out;
}

}  // namespace pouch::spec
