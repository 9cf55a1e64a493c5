#pragma once

#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

class Containers;
class Content;
class Diff;
class Images;
class Introspection;
class Leases;
class Namespaces;
class Snapshots;
class Tasks;
class Transport;
class VersionService;

/// One containerd, one namespace. Include the header of each service that is used: core/ctrd/tasks.h and so
/// on.
///
/// Threads: every function of Client and of the services may be called from any thread at any time. A call
/// blocks its thread until the answer, the call's deadline (10 s when it has none, except where a function
/// says otherwise) or its cancellation; the last two free the caller at once and tell containerd to stop.
/// containerd may then leave a half-done create, start or remove behind: give those a Call of their own, with
/// a deadline and without the user's cancel token.
///
/// Errors: "containerd: <service>.<call> on <object>: <what containerd said>". FailedPrecondition becomes
/// Conflict, Unimplemented NotImplemented, Unknown Internal; the others keep their names. Unavailable:
/// containerd cannot be reached or went away during the call (a task is then not known to be dead). Forked:
/// the handle was inherited over fork().
///
/// Connections come and go by themselves: after a restart of containerd the next call reconnects.
class Client {
 public:
  /// Connects and waits until containerd says it is serving. Tries until `deadline` (10 s when never) while
  /// the socket is absent, refuses or is not yet serving; PermissionDenied at once where the socket is not
  /// ours to open. `ns` need not exist beforehand.
  static Result<std::shared_ptr<Client>> connect(const std::string& socket_path, const std::string& ns,
                                                 Deadline deadline);
  /// For the parts of this folder; others use connect().
  explicit Client(std::shared_ptr<Transport> transport);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The same connection with every call under the lease: what it makes is safe from the garbage collector
  /// while the lease lives. Costs nothing.
  std::shared_ptr<Client> with_lease(const std::string& lease_id) const;
  /// The same connection in another namespace, without a lease.
  std::shared_ptr<Client> with_namespace(const std::string& ns) const;

  const std::string& ns() const;
  const std::string& lease_id() const;  ///< empty: none
  const std::string& socket_path() const;

  /// Ok when containerd answers that it is serving.
  Status ping(const Call& call) const;

  Containers& containers() const;
  Tasks& tasks() const;
  Content& content() const;
  Snapshots& snapshots() const;
  Diff& diff() const;
  Images& images() const;
  Leases& leases() const;
  Namespaces& namespaces() const;
  Introspection& introspection() const;
  VersionService& version() const;

  /// For the parts of this folder.
  const std::shared_ptr<Transport>& transport() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pouch::ctrd
