#pragma once

#include <string>

#include "core/volume/driver.h"

namespace pouch::volume {

/// Folders <root>/volumes/NAME/_data; with the options type, o and device, mounts there, made for the first
/// container that runs with the volume and unmounted after the last. With the option size, folders of a
/// project of their own, whose bytes the file system limits.
class LocalDriver final : public Driver {
 public:
  explicit LocalDriver(std::string folder) : folder_(std::move(folder)) {}

  std::string scope() const override { return "local"; }
  Status check(const VolumeRow& row) const override;
  Status create(const VolumeRow& row, const Call& call) override;
  Status remove(const VolumeRow& row, const Call& call) override;
  bool needs_staging(const VolumeRow& row) const override;
  Status stage(const VolumeRow& row, const Call& call) override;
  Status unstage(const VolumeRow& row, const Call& call) override;
  Result<std::string> publish(const VolumeRow& row, const VolumeUser& user, const Call& call) override;
  Status unpublish(const VolumeRow& row, const VolumeUser& user, const Call& call) override;
  std::string mountpoint(const VolumeRow& row) const override { return place(row.name) + "/_data"; }
  bool is_plain_folder(const VolumeRow& row) const override { return !needs_staging(row); }
  bool is_limited(const VolumeRow& row) const override;

  /// Of all volumes, before somebody removes the folder of all.
  Status lift_limits() const;

  /// The folder of all, and of one.
  const std::string& folder() const { return folder_; }
  std::string place(const std::string& name) const { return folder_ + "/" + name; }

 private:
  Status check_size(const VolumeRow& row) const;
  Status limit(const VolumeRow& row) const;
  Status lift_limit(const std::string& top) const;
  const std::string folder_;
};

/// InvalidArgument for what cannot be the name of a local volume, in Moby's words.
Status check_local_name(const std::string& name);

}  // namespace pouch::volume
