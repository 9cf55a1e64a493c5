#include "core/remote/curl_handle.h"

namespace pouch::remote {

Result<std::unique_ptr<CurlHandle>> HandlePool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<CurlHandle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  POUCH_RETURN_IF_ERROR(load_curl());
  auto handle = std::make_unique<CurlHandle>();
  handle->multi.reset(curl().multi_init());
  handle->easy.reset(curl().easy_init());
  if (!handle->multi || !handle->easy) return Status(Code::kOutOfMemory, "libcurl: out of memory");
  return handle;
}

void HandlePool::give_back(std::unique_ptr<CurlHandle> handle) {
  curl().easy_reset(handle->easy.get());
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(handle));
}

}  // namespace pouch::remote
