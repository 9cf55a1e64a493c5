#include "core/remote/curl_handle.h"

namespace pouch::remote {
namespace {

bool init_curl() {
  // Once per process and never undone: other code in the process may use libcurl, too.
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

}  // namespace

Result<std::unique_ptr<CurlHandle>> HandlePool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<CurlHandle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  if (!init_curl()) return internal_error("libcurl cannot be initialized");
  auto handle = std::make_unique<CurlHandle>();
  handle->multi.reset(curl_multi_init());
  handle->easy.reset(curl_easy_init());
  if (!handle->multi || !handle->easy) return Status(Code::kOutOfMemory, "libcurl: out of memory");
  return handle;
}

void HandlePool::give_back(std::unique_ptr<CurlHandle> handle) {
  curl_easy_reset(handle->easy.get());
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(handle));
}

}  // namespace pouch::remote
