#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/volume/records.h"

namespace pouch::volume {

/// What keeps volumes. The steps are those of a storage interface for clusters (CSI): a volume is made once,
/// staged on a node when its first user there comes, published to each user, and back again in the opposite
/// order. Each step may be repeated, by this process or another one, when one died meanwhile. Thread-safe.
class Driver {
 public:
  virtual ~Driver() = default;

  /// "local" or "global": where its volumes are.
  virtual std::string scope() const = 0;
  /// InvalidArgument or NotImplemented, before anything is written down.
  virtual Status check(const VolumeRow& row) const = 0;
  virtual Status create(const VolumeRow& row, const Call& call) = 0;
  /// Ok when it is not there.
  virtual Status remove(const VolumeRow& row, const Call& call) = 0;

  /// Whether stage() and publish() do anything: where they do not, nobody counts its users.
  virtual bool needs_staging(const VolumeRow& row) const = 0;
  virtual Status stage(const VolumeRow& row, const Call& call) = 0;
  /// Nobody uses it here.
  virtual Status unstage(const VolumeRow& row, const Call& call) = 0;
  /// Where the user finds it.
  virtual Result<std::string> publish(const VolumeRow& row, const VolumeUser& user, const Call& call) = 0;
  virtual Status unpublish(const VolumeRow& row, const VolumeUser& user, const Call& call) = 0;

  /// For inspect: where it is, or would be; "" when only publish() knows.
  virtual std::string mountpoint(const VolumeRow& row) const = 0;
  /// The same where somebody has to be asked.
  virtual Result<std::string> locate(const VolumeRow& row, const Call& /*call*/) { return mountpoint(row); }
  /// The names of the volumes that it has, whoever made them; and whether it has one. Empty, and false, where
  /// it has none but those of rows.
  virtual Result<std::vector<std::string>> list(const Call& /*call*/) { return std::vector<std::string>(); }
  virtual Result<bool> has(const std::string& /*name*/, const Call& /*call*/) { return false; }
  /// Whether it is a folder of the engine's own, whose bytes can be counted and which can be replaced.
  virtual bool is_plain_folder(const VolumeRow& row) const = 0;
  /// Whether create() is to be repeated before each use, as it holds something up that others may have let
  /// go.
  virtual bool is_limited(const VolumeRow& /*row*/) const { return false; }
};

}  // namespace pouch::volume
