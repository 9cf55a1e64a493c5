// What networks of plugins need besides joining and leaving.

#include <algorithm>
#include <utility>

#include "core/network/cni_network.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"

namespace pouch {

using network::Attachment;
using network::NetworkRow;

namespace {

constexpr int64_t kLookMs = 500;  // for all: whoever asks for findings waits for them

Finding of_network(const NetworkRow& row, const Status& status) {
  const std::string name = "network " + row.name;
  if (status.is_ok()) return findings::fine(name, "the CNI plugins of " + row.name + " are ready");
  return {name, FindingLevel::kError, status.message(),
          "have its list and its plugins at their places and ready"};
}

Finding of_attachment(const NetworkRow& row, const std::string& container, const Status& status) {
  return {"network " + row.name, FindingLevel::kWarning,
          "container " + container + " is not in it as its plugins made it: " + status.message(),
          "pouch network disconnect " + row.name + " " + container + " && pouch network connect " + row.name +
              " " + container};
}

}  // namespace

Status NetworkManager::bring_up(const std::string& network_id, const Call& call) {
  POUCH_RETURN_IF_ERROR(bridges_.bring_up(network_id, call));
  std::optional<NetworkRow> row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(row, network::load_network(snapshot, network_id));
  }
  if (row) plugs_.collect(*row, call);
  return {};
}

Result<std::vector<Finding>> NetworkManager::findings(const Call& call) {
  std::vector<std::pair<NetworkRow, std::vector<std::pair<Attachment, std::string>>>> lists;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, network::all_networks(snapshot));
    POUCH_ASSIGN_OR_RETURN(const auto attachments, network::all_attachments(snapshot));
    for (const NetworkRow& row : rows) {
      if (row.driver != network::kCni) continue;
      auto& [list, members] = lists.emplace_back(row, std::vector<std::pair<Attachment, std::string>>{});
      POUCH_ASSIGN_OR_RETURN(const auto running,
                             network::running_members(snapshot, row.id, context_.boot_id));
      for (const network::Member& member : running) {
        const auto made = std::find_if(attachments.begin(), attachments.end(), [&](const Attachment& each) {
          return each.endpoint_id == member.endpoint.endpoint_id && each.is_begun;
        });
        if (made != attachments.end()) members.emplace_back(*made, member.container_name);
      }
    }
  }
  Call look = call;
  look.deadline = call.deadline.earlier(Deadline::after_ms(kLookMs));
  std::vector<Finding> out;
  for (const auto& [row, members] : lists) {
    const Status ready = network::check_cni(row, context_.root_dir(), look);
    out.push_back(of_network(row, ready));
    for (const auto& [attachment, container] : members) {
      if (!ready.is_ok() || look.deadline.has_passed()) break;
      const Status made = network::check_attachment(attachment, context_.root_dir(), look);
      if (!made.is_ok()) out.push_back(of_attachment(row, container, made));
    }
  }
  return out;
}

}  // namespace pouch
