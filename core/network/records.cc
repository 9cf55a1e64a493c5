#include "core/network/records.h"

#include "core/api/codec.h"
#include "core/api/json.h"

namespace pouch::network {

using store::Session;
using store::Statement;

Result<api::EndpointSettings> EndpointRow::settings() const {
  return api::parse_document<api::EndpointSettings>(settings_json, api::DecodeMode::kLenient);
}

Result<std::optional<NetworkRow>> find_network(Session& session, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare(
          "SELECT n.id, n.name, n.driver, n.device, n.up_boot, coalesce(p.subnet, ''), "
          "coalesce(p.gateway, ''), coalesce(p.last_address, '') FROM networks n "
          "LEFT JOIN network_pools p ON p.network_id = n.id AND p.position = 0 WHERE n.name = ?1"));
  find.bind(name);
  POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
  if (!found) return std::optional<NetworkRow>();
  return std::optional<NetworkRow>(NetworkRow{find.text(0), find.text(1), find.text(2), find.text(3),
                                              find.text(4), find.text(5), find.text(6), find.text(7)});
}

Status insert_network(Session& session, const NetworkRow& row) {
  return session
      .run("INSERT INTO networks(id, name, driver, device, created_ns) VALUES(?1, ?2, ?3, ?4, ?5)", row.id,
           row.name, row.driver, row.device, Timestamp::now())
      .status();
}

Status set_pool(Session& session, const NetworkRow& row) {
  return session
      .run(
          "INSERT INTO network_pools(network_id, position, subnet, gateway, last_address) "
          "VALUES(?1, 0, ?2, ?3, ?4) ON CONFLICT(network_id, position) DO UPDATE SET "
          "subnet = excluded.subnet, gateway = excluded.gateway, last_address = excluded.last_address",
          row.id, row.subnet, row.gateway, row.last_address)
      .status();
}

Status set_up_boot(Session& session, const std::string& id, const std::string& boot) {
  return session.run("UPDATE networks SET up_boot = ?2 WHERE id = ?1", id, boot).status();
}

Status insert_endpoint(Session& session, const EndpointRow& row) {
  return session
      .run("INSERT INTO endpoints(network_id, container_id, settings_json) VALUES(?1, ?2, ?3)",
           row.network_id, row.container_id, row.settings_json)
      .status();
}

Result<std::optional<EndpointRow>> find_endpoint(Session& session, const std::string& network_id,
                                                 const ContainerId& container) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find, session.prepare("SELECT settings_json, endpoint_id, generation, boot_id, mac, address "
                                      "FROM endpoints WHERE network_id = ?1 AND container_id = ?2"));
  find.bind(network_id, container);
  POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
  if (!found) return std::optional<EndpointRow>();
  return std::optional<EndpointRow>(EndpointRow{network_id, container, find.text(0), find.text(1),
                                                find.integer(2), find.text(3), find.text(4), find.text(5)});
}

Status set_running(Session& session, const EndpointRow& row) {
  return session
      .run(
          "UPDATE endpoints SET endpoint_id = ?3, generation = ?4, boot_id = ?5, mac = ?6, address = ?7 "
          "WHERE network_id = ?1 AND container_id = ?2",
          row.network_id, row.container_id, row.endpoint_id, row.generation, row.boot_id, row.mac,
          row.address)
      .status();
}

Result<bool> set_ended(Session& session, const ContainerId& container, int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(const int64_t changed,
                         session.run("UPDATE endpoints SET endpoint_id = '', mac = '', address = '' "
                                     "WHERE container_id = ?1 AND generation <= ?2 AND endpoint_id <> ''",
                                     container, generation));
  return changed > 0;
}

Result<bool> is_address_taken(Session& session, const std::string& network_id, const std::string& address) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT 1 FROM endpoints WHERE network_id = ?1 AND address = ?2"));
  return find.bind(network_id, address).step();
}

Result<bool> has_running_endpoints(Session& session, const std::string& network_id) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find, session.prepare("SELECT 1 FROM endpoints WHERE network_id = ?1 AND endpoint_id <> ''"));
  return find.bind(network_id).step();
}

Status drop_old_addresses(Session& session, const std::string& network_id, const std::string& boot) {
  return session
      .run(
          "UPDATE endpoints SET endpoint_id = '', mac = '', address = '' "
          "WHERE network_id = ?1 AND boot_id <> ?2",
          network_id, boot)
      .status();
}

std::string sandbox_key(const ContainerId& container, int64_t generation) {
  return container.str() + "-" + std::to_string(generation);
}

Status put_intent(Session& session, const std::string& kind, const std::string& key, const std::string& owner,
                  const std::string& data_json) {
  return session
      .run(
          "INSERT OR REPLACE INTO intents(kind, key, owner_token, data_json, created_ns) "
          "VALUES(?1, ?2, ?3, ?4, ?5)",
          kind, key, owner, data_json, Timestamp::now())
      .status();
}

Status drop_intent(Session& session, const std::string& kind, const std::string& key) {
  return session.run("DELETE FROM intents WHERE kind = ?1 AND key = ?2", kind, key).status();
}

Result<bool> has_intent(Session& session, const std::string& kind, const std::string& key) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT 1 FROM intents WHERE kind = ?1 AND key = ?2"));
  return find.bind(kind, key).step();
}

Result<std::vector<SandboxIntent>> ended_sandboxes(Session& session, const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT i.key, i.data_json FROM intents i WHERE i.kind = 'sandbox' AND NOT EXISTS "
                      "(SELECT 1 FROM containers c WHERE c.id = substr(i.key, 1, 64) AND "
                      "c.id || '-' || c.generation = i.key AND c.boot_id = ?1 AND "
                      "c.state IN ('starting', 'running', 'exiting'))"));
  find.bind(boot);
  std::vector<SandboxIntent> ended;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return ended;
    POUCH_ASSIGN_OR_RETURN(const Json data, parse_json(find.text(1)));
    ended.push_back({find.text(0), data.get("netns", "").asString()});
  }
}

}  // namespace pouch::network
