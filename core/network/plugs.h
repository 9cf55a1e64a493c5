#pragma once

#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/attachments.h"
#include "core/network/endpoints.h"
#include "core/network/plugged.h"
#include "core/network/records.h"
#include "core/store/engine_context.h"
#include "core/sys/file.h"

namespace pouch::network {

/// What plugins do for the networks of a root: drivers behind libnetwork's remote protocol, its IPAM plugins,
/// lists of CNI plugins. Before a plugin is asked for something of an endpoint, a row (Attachment) says so,
/// and whoever finds it after the endpoint's end has it undone. Thread-safe.
class Plugs {
 public:
  explicit Plugs(EngineContext& context) : context_(context) {}

  /// Whether the network's plugins are there, before anything is written down or asked for. NotFound.
  Status check(const NetworkRow& row, const Call& call) const;
  /// Fills in the pools of a new network whose addresses a plugin hands out.
  Status take_pools(NetworkRow& row, const Call& call) const;
  void give_back_pools(const NetworkRow& row, const Call& call) const;
  /// Tells the driver of a new network.
  Status create(const NetworkRow& row, const Call& call) const;
  /// Whether what has to be asked for the network's end can be.
  Status check_removal(const NetworkRow& row, const Call& call) const;
  /// The network ends. Unavailable or NotFound when a plugin cannot be asked; what it says against it is
  /// only logged, as with Docker.
  Status remove(const NetworkRow& row, const Call& call) const;

  /// Beside an endpoint that is given a run: its plugins may be asked from here on.
  Status intend(store::Session& session, const NetworkRow& row, const EndpointRow& endpoint,
                const std::string& sandbox, const std::string& netns) const;
  /// Asks the IPAM plugin for its addresses, if there is one, and writes them into its row.
  Status take_addresses(const NetworkRow& row, EndpointRow& endpoint, const Call& call) const;
  /// Has the driver make its link in the namespace, and writes down what it chose. `siblings`: all of the
  /// container.
  Status attach(const NetworkRow& row, EndpointRow endpoint, const std::vector<EndpointRow>& siblings,
                const api::HostConfig& host, const std::vector<PublishedPort>& ports, const Call& call) const;

  /// Undoes all, if there is something; the addresses are nobody's then. An error leaves it for the next
  /// sweep.
  Status detach(const std::string& endpoint_id, const Call& call) const;
  /// Has the plugins of a CNI list that is this root's alone end what the root does not know of. What fails
  /// is logged.
  void collect(const NetworkRow& row, const Call& call) const;
  /// Undoes what ended endpoints have left. While another engine is at it nothing is done, unless `wait`.
  Status sweep(bool wait, const Call& call) const;

 private:
  Status save(const Attachment& attachment, const Call& call) const;
  Status save(const EndpointRow& endpoint, const Call& call) const;
  Result<Attachment> load(const std::string& endpoint_id) const;
  Status attach_remote(const NetworkRow& row, EndpointRow& endpoint, const std::vector<EndpointRow>& siblings,
                       const api::HostConfig& host, Attachment& attachment, const Call& call) const;
  Status move_in(const Attachment& attachment, EndpointRow& endpoint, const PluginFacts& facts,
                 const std::vector<std::string>& link_local) const;
  Result<sys::FileLock> lock(bool wait, const Call& call) const;
  /// Shared by each ADD, from before its row tells of it: what is about to be made is not collected.
  std::string collect_lock() const { return context_.run_dir() + "/cni.lock"; }
  Status undo(const Attachment& attachment, const Call& call) const;
  Status undo_remote(const Attachment& attachment, const Call& call) const;

  EngineContext& context_;
};

}  // namespace pouch::network
