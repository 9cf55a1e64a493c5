#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/cni/attachment.h"

namespace pouch::cni {

/// The plugins on this host: where they are, what they speak, and one call of one of them. Thread-safe.
class Plugins {
 public:
  explicit Plugins(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  /// The plugin's file. NotFound lists the folders; InvalidArgument for one that is not absolute.
  Result<std::string> find(const std::string& type) const;

  /// The newest version that the plugin speaks, not newer than `most`. It is asked once (VERSION) in a
  /// process while its file stays the same. NotImplemented when it speaks newer ones only.
  Result<std::string> choose_version(const std::string& type, const std::string& most,
                                     const Call& call) const;

  /// Runs it to its end: what it wrote to stdout. `attachment` is null for commands that are about none.
  /// Errors are as Runtime describes them.
  Result<std::string> run(const std::string& type, const std::string& command, const Attachment* attachment,
                          const Json& config, const Call& call) const;

 private:
  Result<std::vector<std::string>> versions_of(const std::string& type, const Call& call) const;
  Result<std::vector<std::string>> ask_versions(const std::string& type, const Call& call) const;
  std::vector<std::string> environment(const std::string& command, const Attachment* attachment) const;

  const std::vector<std::string> folders_;
};

}  // namespace pouch::cni
