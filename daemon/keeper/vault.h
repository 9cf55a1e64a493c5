#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/keeper_hooks.h"

namespace pouch::keeper {

/// The worker's side: hands descriptors to the supervisor over a socket both share, which hangs up when the
/// supervisor has died. Thread-safe.
class VaultClient : public io::FifoVault {
 public:
  using Holdings = std::map<std::string, std::vector<int>>;

  explicit VaultClient(int socket) : socket_(socket) {}
  void hold(const std::string& stream_id, const std::vector<int>& fds) override;
  void release(const std::string& stream_id) override;
  /// Calls it with what is held now: the worker's own descriptors, none of which is closed meanwhile.
  void visit(const std::function<void(const Holdings&)>& visitor) const;

 private:
  void send(char verb, const std::string& stream_id, const std::vector<int>& fds);
  const int socket_;
  mutable std::mutex mutex_;
  Holdings held_;
};

/// The supervisor's side: keeps them open and does nothing with them.
class Vault {
 public:
  using Holdings = std::map<std::string, std::vector<UniqueFd>>;

  static Result<Vault> create(Holdings held);
  int worker_end() const { return worker_end_.get(); }
  int own_end() const { return own_end_.get(); }
  /// In a worker just forked: all that is held, by its name. It is the worker's then, which has its own end
  /// alone.
  std::vector<std::pair<std::string, int>> inherit();
  /// Takes the messages that have come.
  void receive_all();

 private:
  bool receive_one();
  UniqueFd worker_end_;
  UniqueFd own_end_;
  Holdings held_;
};

}  // namespace pouch::keeper
