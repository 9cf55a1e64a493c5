#include "core/network/attachments.h"

#include "core/api/codec.h"
#include "core/api/json.h"

namespace pouch::network {

using store::Session;
using store::Statement;

namespace {

// The texts that are written and read alike.
template <class A>
auto fields_of(A& a) {
  return std::vector{std::pair("network", &a.network_id),
                     std::pair("driver", &a.driver),
                     std::pair("ipam_driver", &a.ipam_driver),
                     std::pair("sandbox", &a.sandbox),
                     std::pair("netns", &a.netns),
                     std::pair("link", &a.link),
                     std::pair("source_link", &a.source_link)};
}

Json to_json(const Attachment& attachment) {
  Json out = json_object();
  for (const auto& [name, text] : fields_of(attachment)) out[name] = *text;
  out["is_begun"] = attachment.is_begun;
  out["addresses"] = json_array();
  for (const auto& [pool, address] : attachment.addresses) {
    Json each = json_object();
    each["pool"] = pool;
    each["address"] = address;
    out["addresses"].append(each);
  }
  out["cni"] = json_object();
  for (const auto& [name, value] : attachment.cni) out["cni"][name] = value;
  return out;
}

Result<Attachment> from_json(const std::string& endpoint_id, const std::string& text) {
  POUCH_ASSIGN_OR_RETURN(const Json from, parse_json(text));
  Attachment out;
  out.endpoint_id = endpoint_id;
  for (const auto& [name, field] : fields_of(out)) *field = from.get(name, "").asString();
  out.is_begun = from.get("is_begun", false).asBool();
  for (const Json& each : from["addresses"]) {
    out.addresses.emplace_back(each.get("pool", "").asString(), each.get("address", "").asString());
  }
  for (const std::string& name : from["cni"].getMemberNames()) out.cni[name] = from["cni"][name].asString();
  return out;
}

Result<std::vector<Attachment>> read_all(Statement& find) {
  std::vector<Attachment> out;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return out;
    POUCH_ASSIGN_OR_RETURN(Attachment attachment, from_json(find.text(0), find.text(1)));
    out.push_back(std::move(attachment));
  }
}

}  // namespace

Status put_attachment(Session& session, const Attachment& attachment, const std::string& owner) {
  return put_intent(session, kAttachmentKind, attachment.endpoint_id, owner, write_json(to_json(attachment)));
}

Result<std::optional<Attachment>> find_attachment(Session& session, const std::string& endpoint_id) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT data_json FROM intents WHERE kind = ?1 AND key = ?2"));
  find.bind(kAttachmentKind, endpoint_id);
  POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
  if (!found) return std::optional<Attachment>();
  POUCH_ASSIGN_OR_RETURN(Attachment attachment, from_json(endpoint_id, find.text(0)));
  return std::optional<Attachment>(std::move(attachment));
}

Status drop_attachment(Session& session, const std::string& endpoint_id) {
  return drop_intent(session, kAttachmentKind, endpoint_id);
}

Result<std::vector<Attachment>> ended_attachments(Session& session, const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT i.key, i.data_json FROM intents i WHERE i.kind = ?1 AND NOT EXISTS (SELECT 1 "
                      "FROM endpoints e WHERE e.endpoint_id = i.key AND e.boot_id = ?2)"));
  find.bind(kAttachmentKind, boot);
  return read_all(find);
}

Result<std::vector<Attachment>> all_attachments(Session& session) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT key, data_json FROM intents WHERE kind = ?1 ORDER BY key"));
  find.bind(kAttachmentKind);
  return read_all(find);
}

Result<bool> has_attachments(Session& session, const std::string& network_id) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT 1 FROM intents WHERE kind = ?1 AND "
                                         "json_extract(data_json, '$.network') = ?2 LIMIT 1"));
  return find.bind(kAttachmentKind, network_id).step();
}

}  // namespace pouch::network
