// What engines that died left half-done.

#include "core/base/log.h"
#include "core/network/network_manager.h"

namespace pouch {

using network::NetworkRow;

namespace {

constexpr size_t kIdLength = 64;

}  // namespace

bool NetworkManager::is_orphan(const std::string& key, const std::string& owner) const {
  if (owner == context_.owner_token) return sweeper_.is_abandoned(key);
  return owner.empty() || !context_.is_owner_alive(owner);
}

// One that was being made is unmade: nobody was told of it. One that was being removed is removed.
Status NetworkManager::recover_networks(const Call& call) {
  std::vector<NetworkRow> left;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto owners, network::intent_owners(snapshot, network::kNetworkKind));
    for (const auto& [id, owner] : owners) {
      if (!is_orphan(id, owner)) continue;
      POUCH_ASSIGN_OR_RETURN(auto row, network::load_network(snapshot, id));
      if (row) left.push_back(std::move(*row));
    }
  }
  Status first;
  for (const NetworkRow& row : left) {
    const bool was_there = row.state == network::state::kRemoving;
    const Status done = row.state.empty() ? Status() : finish_removal(row, was_there, call);
    if (first.is_ok()) first = done;
  }
  return first;
}

Status NetworkManager::recover_endpoint(const std::string& key, const Call& call) {
  Change change;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    const std::string network_id = key.substr(0, kIdLength);
    const ContainerId container(key.substr(std::min(key.size(), kIdLength + 1)));
    POUCH_ASSIGN_OR_RETURN(auto row, network::load_network(transaction, network_id));
    POUCH_ASSIGN_OR_RETURN(const auto endpoint, network::find_endpoint(transaction, network_id, container));
    auto place = containers_->find(transaction, container.str());
    const bool is_open = row && endpoint && place.is_ok() && !endpoint->state.empty() &&
                         endpoint->state != "left" && endpoint->is_running();
    if (!is_open) {
      POUCH_RETURN_IF_ERROR(network::drop_intent(transaction, network::kEndpointKind, key));
      return transaction.commit();
    }
    change = {std::move(*row), *endpoint, std::move(*place)};
  }
  return finish_disconnect(change, change.endpoint.state == "leaving", call);
}

Status NetworkManager::recover_endpoints(const Call& call) {
  network::Texts owners;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(owners, network::intent_owners(snapshot, network::kEndpointKind));
  }
  Status first;
  for (const auto& [key, owner] : owners) {
    const Status done = is_orphan(key, owner) ? recover_endpoint(key, call) : Status();
    if (first.is_ok()) first = done;
  }
  return first;
}

}  // namespace pouch
