#pragma once

#include <string>

#include "core/api/container.gen.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"

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

/// How the container manager sees images. Thread-safe.
class ImageLookup {
 public:
  virtual ~ImageLookup() = default;

  /// By reference ("busybox", "busybox:1", "name@sha256:…"), full id or unique id prefix.
  /// NotFound with Moby's text: "No such image: busybox:latest". Must need no RPC: it is on the path of every
  /// create. The snapshot of `chain_id` is unpacked (or Unavailable says that it is not).
  virtual Result<ImageForContainer> resolve(const std::string& reference, const Call& call) = 0;

  /// Bytes of the image's layers unpacked, for SizeRootFs; by full id. NotFound when it is gone.
  virtual Result<int64_t> unpacked_bytes(const Digest& id, const Call& call) = 0;
};

}  // namespace pouch
