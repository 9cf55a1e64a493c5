#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/registry/client.h"
#include "core/registry/session.h"

namespace pouch::registry {

/// One blob on its way into a registry, over as many requests as it takes. For one thread.
class Upload {
 public:
  /// All must outlive it.
  Upload(Session& session, const Call& call, const Digest& digest, int64_t size, const Source& source)
      : session_(session), call_(call), digest_(digest), size_(size), source_(source) {}

  /// What could not be finished is cancelled at the registry.
  Status run();

 private:
  enum class Next { kGoOn, kDone, kRetry, kFailed };

  Next attempt();
  Next begin();
  Next find_out();
  Next send_piece();
  Next commit();
  Next take_piece(const HttpAnswer& answer, int64_t piece);
  Next taken_back(const HttpAnswer& answer);
  Next troubled(Trouble trouble, Status status);
  Next refused(const HttpAnswer& answer);
  void start_over();
  void cancel();
  bool take_location(const HttpAnswer& answer);
  int64_t piece_size() const;

  Session& session_;
  const Call& call_;
  const Digest& digest_;
  const int64_t size_;
  const Source& source_;
  std::string location_;        ///< empty: the registry knows nothing of it
  bool is_in_doubt_ = false;    ///< how much the registry has
  bool is_committing_ = false;  ///< it was asked to finish
  int64_t at_ = 0;              ///< that much it has, in bytes
  int64_t least_piece_ = 0;     ///< that it takes, but for the last
  Status status_;               ///< why the last step did not succeed
  int64_t wait_ms_ = 0;         ///< that the registry wants
};

/// The bytes that a Range header of an upload ("0-1023", "bytes=0-1023") says are there; nullopt where it
/// says nothing. "0-0" is what registries say of none.
std::optional<int64_t> uploaded_of(std::string_view range);

}  // namespace pouch::registry
