#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/progress.h"
#include "core/image/stored_image.h"
#include "core/registry/client.h"
#include "core/registry/reference.h"

namespace pouch::image {

/// Brings the blobs of an image into a repository, a few at a time: what is there is left alone, what the
/// registry has elsewhere is taken over from there, the rest is uploaded.
class LayerUploads {
 public:
  /// All must outlive it.
  LayerUploads(const ctrd::Client& client, registry::Repository& repository, const Reference& name,
               const Call& call, const StoredImage& image, Progress& progress);
  ~LayerUploads();
  LayerUploads(const LayerUploads&) = delete;
  LayerUploads& operator=(const LayerUploads&) = delete;

  /// Returns when all are there; of several failures the first.
  Status run();

 private:
  struct Item {
    ctrd::Descriptor blob;
    std::string shown_id;  ///< of progress; empty: nothing is told
  };

  void work();
  std::optional<size_t> take_next();
  void finish(Status status);
  Status bring(const Item& item);
  Result<bool> take_over(const Item& item);
  Status upload(const Item& item);
  void tell(const Item& item, const std::string& text);

  const ctrd::Client& client_;
  registry::Repository& repository_;
  const Reference& name_;
  const Call& call_;
  Call work_call_;  ///< the caller's, and cancelled when a blob fails
  int forward_ = 0;
  Progress& progress_;
  std::vector<Item> items_;

  std::mutex mutex_;
  // Below protected by mutex_.
  size_t next_ = 0;
  Status status_;
};

}  // namespace pouch::image
