#pragma once

#include <string>
#include <vector>

#include "core/plugin/plugin_client.h"
#include "core/volume/driver.h"

namespace pouch::volume {

/// A driver behind Docker's volume plugin protocol. A container's use is one Mount and one Unmount, under an
/// id that both have.
class PluginDriver final : public Driver {
 public:
  /// NotFound when there is no such plugin, or it is no volume driver.
  static Result<PluginDriver> open(const plugin::PluginFolders& folders, const std::string& name,
                                   const Call& call);

  std::string scope() const override { return scope_; }
  Status check(const VolumeRow& row) const override;
  Status create(const VolumeRow& row, const Call& call) override;
  Status remove(const VolumeRow& row, const Call& call) override;
  bool needs_staging(const VolumeRow& /*row*/) const override { return true; }
  Status stage(const VolumeRow& /*row*/, const Call& /*call*/) override { return {}; }
  Status unstage(const VolumeRow& /*row*/, const Call& /*call*/) override { return {}; }
  Result<std::string> publish(const VolumeRow& row, const VolumeUser& user, const Call& call) override;
  Status unpublish(const VolumeRow& row, const VolumeUser& user, const Call& call) override;
  std::string mountpoint(const VolumeRow& /*row*/) const override { return {}; }
  Result<std::string> locate(const VolumeRow& row, const Call& call) override;
  Result<std::vector<std::string>> list(const Call& call) override;
  Result<bool> has(const std::string& name, const Call& call) override;
  bool is_plain_folder(const VolumeRow& /*row*/) const override { return false; }

 private:
  explicit PluginDriver(plugin::PluginAddress address) : address_(std::move(address)) {}
  plugin::PluginAddress address_;
  std::string scope_ = "local";
};

}  // namespace pouch::volume
