#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/net/curl_api.h"

namespace pouch::net {

struct EasyDeleter {
  void operator()(CURL* easy) const { curl().easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl().multi_cleanup(multi); }
};
struct SlistDeleter {
  void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};

/// One transfer at a time, with its own connection that is kept alive between them. The multi handle is there
/// because its poll can be woken from another thread.
struct CurlHandle {
  std::unique_ptr<CURLM, MultiDeleter> multi;
  std::unique_ptr<CURL, EasyDeleter> easy;

  /// Also for the peer, whoever has a copy of the socket. To be asked before each use.
  bool end_connections_when_closed() const;
};

/// Idle handles of one client. Thread-safe.
class HandlePool {
 public:
  /// Unavailable or Internal when libcurl cannot be used at all.
  Result<std::unique_ptr<CurlHandle>> take();
  void give_back(std::unique_ptr<CurlHandle> handle);

 private:
  static constexpr size_t kMaxIdle = 16;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CurlHandle>> idle_;
};

/// Runs a callback when the token fires, as long as it lives. A null token never fires.
class CancelLink {
 public:
  CancelLink(CancelPtr token, CancelToken::Callback callback) : token_(std::move(token)) {
    if (token_) id_ = token_->add(std::move(callback));
  }
  ~CancelLink() {
    if (token_) token_->remove(id_);
  }
  CancelLink(const CancelLink&) = delete;
  CancelLink& operator=(const CancelLink&) = delete;

 private:
  const CancelPtr token_;
  int id_ = 0;
};

}  // namespace pouch::net
