#include "core/volume/local_driver.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/base/byte_size.h"
#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/project_quota.h"
#include "core/sys/secure_dir.h"
#include "core/volume/network_mount.h"

namespace pouch::volume {
namespace {

constexpr size_t kMaxName = 255;  // NAME_MAX

std::string option_of(const VolumeRow& row, const std::string& name) {
  if (!row.options) return {};
  const auto at = row.options->find(name);
  return at == row.options->end() ? std::string() : at->second;
}

bool has_option(const VolumeRow& row, const std::string& name) {
  return row.options && row.options->contains(name);
}

Status make_folder(const std::string& path, mode_t mode) {
  return with_faults("sys.mkdir", [&]() -> Status {
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    return errno_status(errno, "create folder " + quote(path));
  });
}

}  // namespace

Status check_local_name(const std::string& name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.size() == 1)
    return invalid_argument("volume name is too short, names should be at least two alphanumeric characters");
  const bool good = !name.empty() && is_word(name.front()) &&
                    std::all_of(name.begin(), name.end(),
                                [&](char c) { return is_word(c) || c == '_' || c == '.' || c == '-'; });
  if (!good) {
    return invalid_argument(quote(name) +
                            " includes invalid characters for a local volume name, only "
                            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                            "directory, use absolute path");
  }
  if (name.size() > kMaxName) return invalid_argument("volume name is too long, at most 255 characters");
  return {};
}

Status LocalDriver::check(const VolumeRow& row) const {
  POUCH_RETURN_IF_ERROR(check_local_name(row.name));
  for (const auto& [name, value] : row.options.value_or(Texts{})) {
    if (name != "type" && name != "o" && name != "device" && name != "size")
      return invalid_argument("invalid option: " + quote(name));
  }
  const std::pair<const char*, const char*> needed[] = {
      {"device", "type"}, {"type", "device"}, {"o", "device"}, {"o", "type"}};
  for (const auto& [given, other] : needed) {
    if (has_option(row, given) && !has_option(row, other))
      return invalid_argument("missing required option: " + quote(other));
  }
  POUCH_RETURN_IF_ERROR(check_device(option_of(row, "type"), option_of(row, "device")));
  return check_size(row);
}

Status LocalDriver::check_size(const VolumeRow& row) const {
  if (!has_option(row, "size")) return {};
  POUCH_ASSIGN_OR_RETURN(const int64_t size, parse_byte_size(option_of(row, "size")));
  if (size == 0) return {};
  // The folder itself is made with the first volume.
  POUCH_ASSIGN_OR_RETURN(const sys::NearestDir nearest, sys::secure_look(folder_));
  if (!sys::has_project_quotas(nearest.fd.get()))
    return not_implemented("DriverOpts size: quota size requested but no quota support");
  if (needs_staging(row))
    return not_implemented("DriverOpts size: a quota of what is mounted (type, device) is not supported");
  return {};
}

bool LocalDriver::is_limited(const VolumeRow& row) const {
  const auto size = parse_byte_size(option_of(row, "size"));
  return size.is_ok() && *size > 0 && !needs_staging(row);
}

// The volume's own folder has the project, so that whatever is put in it belongs to it. What it inherited
// from the folder of all is not its own.
Status LocalDriver::limit(const VolumeRow& row) const {
  POUCH_ASSIGN_OR_RETURN(const int64_t size, parse_byte_size(option_of(row, "size")));
  POUCH_ASSIGN_OR_RETURN(const UniqueFd all, sys::open_file(folder_, O_RDONLY | O_DIRECTORY));
  POUCH_ASSIGN_OR_RETURN(const UniqueFd top,
                         sys::open_file(place(row.name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!sys::has_project_quotas(top.get()))
    return not_implemented("DriverOpts size: size quota requested for volume but no quota support");
  POUCH_ASSIGN_OR_RETURN(uint32_t project, sys::project_of(top.get()));
  POUCH_ASSIGN_OR_RETURN(const uint32_t inherited, sys::project_of(all.get()));
  // In this order, so that whoever dies in between leaves no limit of a project that no folder tells of.
  if (!sys::is_chosen_project(project) || project == inherited) {
    POUCH_ASSIGN_OR_RETURN(project, sys::choose_project(top.get()));
    POUCH_RETURN_IF_ERROR(sys::give_to_project(top.get(), project));
  }
  return sys::limit_project(top.get(), project, static_cast<uint64_t>(size));
}

Status LocalDriver::lift_limit(const std::string& top) const {
  const auto all = sys::open_file(folder_, O_RDONLY | O_DIRECTORY);
  const auto folder = sys::open_file(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!all.is_ok() || !folder.is_ok() || !sys::has_project_quotas(folder->get())) return {};
  POUCH_ASSIGN_OR_RETURN(const uint32_t project, sys::project_of(folder->get()));
  POUCH_ASSIGN_OR_RETURN(const uint32_t inherited, sys::project_of(all->get()));
  const bool is_own = sys::is_chosen_project(project) && project != inherited;
  return is_own ? sys::limit_project(folder->get(), project, 0) : Status();
}

Status LocalDriver::lift_limits() const {
  Status first;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const Status lifted = lift_limit(at->path());
    if (first.is_ok()) first = lifted;
  }
  return first;
}

Status LocalDriver::create(const VolumeRow& row, const Call& /*call*/) {
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(folder_).status());
  POUCH_RETURN_IF_ERROR(make_folder(place(row.name), 0700));
  if (is_limited(row)) POUCH_RETURN_IF_ERROR(limit(row));
  const std::string data = mountpoint(row);
  POUCH_RETURN_IF_ERROR(make_folder(data, 0755));
  // Whatever the umask; what is there already keeps its mode.
  struct stat info {};
  if (::lstat(data.c_str(), &info) == 0 && (info.st_mode & 07777) == 0700) ::chmod(data.c_str(), 0755);
  return {};
}

Status LocalDriver::remove(const VolumeRow& row, const Call& /*call*/) {
  const std::string top = place(row.name);
  struct stat info {};
  if (::lstat(top.c_str(), &info) != 0 && errno == ENOENT) return {};
  if (needs_staging(row)) POUCH_RETURN_IF_ERROR(sys::unmount_tree(top));
  // First: the folder tells which project it was.
  POUCH_RETURN_IF_ERROR(lift_limit(top));
  return with_faults("sys.remove_tree", [&] { return sys::remove_tree(top); });
}

bool LocalDriver::needs_staging(const VolumeRow& row) const {
  return !option_of(row, "device").empty() || !option_of(row, "type").empty();
}

Status LocalDriver::stage(const VolumeRow& row, const Call& /*call*/) {
  if (!needs_staging(row)) return {};
  const std::string data = mountpoint(row);
  POUCH_ASSIGN_OR_RETURN(const bool is_mounted, sys::is_mount_point(data));
  if (is_mounted) return {};
  const auto order =
      with_addresses({option_of(row, "type"), option_of(row, "device"), option_of(row, "o")}, resolve_host);
  if (!order.is_ok()) return order.status().prefix("error while mounting volume '" + data + "'");
  const Status mounted = sys::mount_at(*order, data);
  if (mounted.is_ok()) return {};
  return mounted.prefix("error while mounting volume '" + data + "': failed to mount local volume");
}

Status LocalDriver::unstage(const VolumeRow& row, const Call& /*call*/) {
  return needs_staging(row) ? sys::unmount_tree(mountpoint(row)) : Status();
}

// Made by whoever needs it first: the row is older than the folder.
Result<std::string> LocalDriver::publish(const VolumeRow& row, const VolumeUser& /*user*/,
                                         const Call& /*call*/) {
  return mountpoint(row);
}

Status LocalDriver::unpublish(const VolumeRow& /*row*/, const VolumeUser& /*user*/, const Call& /*call*/) {
  return {};
}

}  // namespace pouch::volume
