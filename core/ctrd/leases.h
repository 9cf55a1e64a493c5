#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// A lease that ends with this object: destroying it deletes the lease (at most 5 s; a failure is logged and
/// left to the lease's expiry).
class HeldLease {
 public:
  /// Makes a lease on `client` that expires by itself after `life`, with `labels` beside it.
  static Result<HeldLease> create(const Call& call, const std::shared_ptr<Client>& client, Duration life,
                                  const Labels& labels);
  ~HeldLease();
  HeldLease(HeldLease&&) noexcept = default;
  HeldLease& operator=(HeldLease&&) = delete;

  const std::string& id() const { return client_->lease_id(); }
  /// The client under this lease.
  const std::shared_ptr<Client>& client() const { return client_; }
  /// Whether an object of this process has the lease: one that nobody has any more could not be deleted.
  static bool is_held(const std::string& id);
  /// Whether any lease of this process could not be deleted.
  static bool has_lost();
  /// Deletes it now. `sync`: what it alone kept is gone when this returns.
  Status end(const Call& call, bool sync = false);

 private:
  explicit HeldLease(std::shared_ptr<Client> client) : client_(std::move(client)) {}
  Status end(const Call& call, bool sync, int64_t tries);

  std::shared_ptr<Client> client_;  ///< null: ended or moved from
};

/// Leases keep what is being made from the garbage collector. Never delete one that you did not create.
/// Threads and errors: see Client.
class Leases : public Service {
 public:
  using Service::Service;

  /// `id` empty: a random one. Expires after `life` (0: never; then it must be deleted). `labels`: at least
  /// one that names its owner.
  Result<Lease> create(const Call& call, const std::string& id, Duration life, const Labels& labels) const;
  /// `sync`: the garbage collector has run when this returns.
  Status remove(const Call& call, const std::string& id, bool sync) const;
  Result<std::vector<Lease>> list(const Call& call, const Filters& filters = {}) const;
};

}  // namespace pouch::ctrd
