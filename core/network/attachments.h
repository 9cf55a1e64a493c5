#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/network/records.h"
#include "core/store/database.h"

// What plugins have, or may have, made for endpoints: intents, which outlive the endpoints' rows until it is
// undone. Every function works in the session given and makes no transaction.

namespace pouch::network {

inline constexpr const char* kAttachmentKind = "attachment";  ///< key: the endpoint's id

struct Attachment {
  std::string endpoint_id;
  std::string network_id;
  std::string driver;
  std::string ipam_driver;  ///< "": the engine's own
  std::string sandbox;      ///< sandbox_key() of its run
  std::string netns;        ///< path of the run's namespace
  std::string link;         ///< its name there
  /// From the IPAM plugin: pool and address.
  std::vector<std::pair<std::string, std::string>> addresses;
  std::string source_link;  ///< its name on the host, where a plugin made it
  bool is_begun = false;    ///< the driver may know of it
  Texts cni;                ///< where its list and plugins are: CniPlace
};

Status put_attachment(store::Session& session, const Attachment& attachment, const std::string& owner);
Result<std::optional<Attachment>> find_attachment(store::Session& session, const std::string& endpoint_id);
Status drop_attachment(store::Session& session, const std::string& endpoint_id);
/// Of endpoints that no running container has any more.
Result<std::vector<Attachment>> ended_attachments(store::Session& session, const std::string& boot);
/// All that plugins have, or may have, made in this root.
Result<std::vector<Attachment>> all_attachments(store::Session& session);
/// Whether plugins have something left to undo in a network.
Result<bool> has_attachments(store::Session& session, const std::string& network_id);

}  // namespace pouch::network
