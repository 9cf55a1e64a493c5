#pragma once

#include <optional>
#include <string>

#include "core/api/container.gen.h"
#include "core/api/stream.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/registry/reference.h"

namespace pouch {

/// What a container needs to know of its image.
struct ImageForContainer {
  Digest id;              ///< the image's config digest
  std::string reference;  ///< familiar form of what was asked for: "busybox:latest"; the id when asked by id
  ChainId chain_id;       ///< the top committed snapshot; empty for an image without layers
  /// The image's defaults: Env, Cmd, Entrypoint, WorkingDir, User, Labels, ExposedPorts, Volumes, StopSignal,
  /// Healthcheck, Shell, OnBuild; the rest is absent.
  api::ContainerConfig config;
  std::string architecture;
  std::string os;
};

/// What becomes an image.
struct CommitRequest {
  Digest image;  ///< that the container was made of
  std::string snapshotter;
  std::string snapshot_key;     ///< of the container's writes
  api::ContainerConfig config;  ///< of the new image, whole
  std::string created_by;       ///< what the container ran
  std::string author;
  std::string comment;
  std::optional<Reference> name;  ///< with a tag
};

/// How the container manager sees images. Thread-safe.
class ImageLookup {
 public:
  virtual ~ImageLookup() = default;

  /// By reference ("busybox", "busybox:1", "name@sha256:…"), full id or unique id prefix.
  /// NotFound with Moby's text: "No such image: busybox:latest". Must need no RPC: it is on the path of every
  /// create. The snapshot of `chain_id` is unpacked (or Unavailable says that it is not).
  virtual Result<ImageForContainer> resolve(const std::string& reference, const Call& call) = 0;

  /// Makes an image of a container's writes on top of its image, and tells its id. NotFound when the image is
  /// gone, DataLoss where containerd has lost a part of it.
  virtual Result<Digest> commit(const CommitRequest& request, const Call& call) = 0;

  /// A tar of the merged file system of an active snapshot.
  virtual Result<StreamPtr> export_rootfs(const std::string& snapshotter, const std::string& key,
                                          const Call& call) = 0;

  /// The root folder of an active snapshot, read-only; it goes with the descriptor.
  virtual Result<UniqueFd> open_rootfs(const std::string& snapshotter, const std::string& key,
                                       const Call& call) = 0;

  /// Bytes of the image's layers unpacked, for SizeRootFs; by full id. NotFound when it is gone.
  virtual Result<int64_t> unpacked_bytes(const Digest& id, const Call& call) = 0;
};

}  // namespace pouch
