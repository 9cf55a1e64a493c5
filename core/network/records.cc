#include "core/network/records.h"

#include <utility>

#include "core/api/codec.h"
#include "core/api/json.h"
#include "core/sys/ip_net.h"

namespace pouch::network {

using store::Session;
using store::Statement;

namespace {

constexpr size_t kIdLength = 64;

#define POUCH_NETWORK_COLUMNS                                                                          \
  "id, name, driver, device, up_boot, state, options_json, labels_json, ipam_options_json, internal, " \
  "attachable, ipv4, ipv6, created_ns, ipam_driver, config_only, config_from"
constexpr std::string_view kSelect = "SELECT " POUCH_NETWORK_COLUMNS " FROM networks ";

Result<Texts> texts_of(const std::string& json) {
  return api::parse_document<Texts>(json, api::DecodeMode::kLenient);
}

Result<NetworkRow> read_row(const Statement& found) {
  NetworkRow row;
  int column = 0;
  for (std::string* text : {&row.id, &row.name, &row.driver, &row.device, &row.up_boot, &row.state}) {
    *text = found.text(column++);
  }
  POUCH_ASSIGN_OR_RETURN(row.options, texts_of(found.text(column++)));
  POUCH_ASSIGN_OR_RETURN(row.labels, texts_of(found.text(column++)));
  if (const std::string options = found.text(column++); !options.empty()) {
    POUCH_ASSIGN_OR_RETURN(row.ipam_options, texts_of(options));
  }
  for (bool* flag : {&row.internal, &row.attachable, &row.ipv4, &row.ipv6}) *flag = found.boolean(column++);
  row.created = found.time(column++);
  row.ipam_driver = found.text(column++);
  row.config_only = found.boolean(column++);
  row.config_from = found.text(column++);
  return row;
}

Status read_pools(Session& session, NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find, session.prepare("SELECT subnet, gateway, ip_range, aux_json, last_address, chosen, "
                                      "pool_id FROM network_pools WHERE network_id = ?1 ORDER BY position"));
  find.bind(row.id);
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return {};
    PoolRow pool{find.text(0), find.text(1), find.text(2), {}, find.text(4), find.boolean(5), find.text(6)};
    POUCH_ASSIGN_OR_RETURN(pool.aux, texts_of(find.text(3)));
    row.pools.push_back(std::move(pool));
  }
}

Result<std::vector<NetworkRow>> select_rows(Session& session, std::string_view where,
                                            const std::string& value) {
  std::vector<NetworkRow> rows;
  POUCH_ASSIGN_OR_RETURN(Statement find, session.prepare(std::string(kSelect) + std::string(where)));
  find.bind(value);
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) break;
    POUCH_ASSIGN_OR_RETURN(NetworkRow row, read_row(find));
    rows.push_back(std::move(row));
  }
  for (NetworkRow& row : rows) POUCH_RETURN_IF_ERROR(read_pools(session, row));
  return rows;
}

Result<std::optional<NetworkRow>> select_one(Session& session, std::string_view where,
                                             const std::string& value) {
  POUCH_ASSIGN_OR_RETURN(auto rows, select_rows(session, where, value));
  if (rows.empty()) return std::optional<NetworkRow>();
  return std::optional<NetworkRow>(std::move(rows.front()));
}

}  // namespace

const PoolRow* NetworkRow::pool(bool v4) const {
  for (const PoolRow& pool : pools) {
    if (pool.is_v4() == v4) return &pool;
  }
  return nullptr;
}

const PoolRow* NetworkRow::pool_of(const std::string& address) const {
  const auto parsed = sys::IpAddress::parse(address);
  if (!parsed.is_ok()) return nullptr;
  for (const PoolRow& pool : pools) {
    const auto subnet = sys::IpNet::parse(pool.subnet);
    if (subnet.is_ok() && subnet->address.is_v4() == parsed->is_v4() && subnet->contains(*parsed))
      return &pool;
  }
  return nullptr;
}

Result<std::optional<NetworkRow>> find_network(Session& session, const std::string& name) {
  return select_one(session, "WHERE name = ?1", name);
}

Result<std::optional<NetworkRow>> load_network(Session& session, const std::string& id) {
  return select_one(session, "WHERE id = ?1", id);
}

Result<NetworkRow> resolve_network(Session& session, const std::string& reference) {
  const Status missing = not_found("network " + reference + " not found");
  if (reference.empty()) return missing;
  for (const char* where : {"WHERE id = ?1 AND state = ''", "WHERE name = ?1 AND state = ''"}) {
    POUCH_ASSIGN_OR_RETURN(auto found, select_one(session, where, reference));
    if (found) return std::move(*found);
  }
  if (!is_hex(reference) || reference.size() >= kIdLength) return missing;
  POUCH_ASSIGN_OR_RETURN(
      auto rows, select_rows(session, "WHERE id >= ?1 AND id < ?1 || 'g' AND state = '' LIMIT 2", reference));
  if (rows.empty()) return missing;
  if (rows.size() > 1) {
    return invalid_argument("network " + reference + " is ambiguous (2 matches found based on ID prefix)");
  }
  return std::move(rows.front());
}

Result<std::vector<NetworkRow>> all_networks(Session& session, bool all) {
  return select_rows(session, "WHERE state = '' OR ?1 <> '' ORDER BY name", all ? "all" : "");
}

Status insert_network(Session& session, const NetworkRow& row) {
  const std::string ipam_options = row.ipam_options ? api::to_json_text(*row.ipam_options) : std::string();
  POUCH_RETURN_IF_ERROR(
      session
          .run("INSERT INTO networks(" POUCH_NETWORK_COLUMNS
               ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
               row.id, row.name, row.driver, row.device, row.up_boot, row.state,
               api::to_json_text(row.options), api::to_json_text(row.labels), ipam_options, row.internal,
               row.attachable, row.ipv4, row.ipv6, row.created, row.ipam_driver, row.config_only,
               row.config_from)
          .status());
  return set_pools(session, row);
}

Status delete_network(Session& session, const std::string& id) {
  POUCH_RETURN_IF_ERROR(session.run("DELETE FROM endpoints WHERE network_id = ?1", id).status());
  return session.run("DELETE FROM networks WHERE id = ?1", id).status();
}

Status set_last_address(Session& session, const std::string& id, const PoolRow& pool) {
  return session
      .run("UPDATE network_pools SET last_address = ?3 WHERE network_id = ?1 AND subnet = ?2", id,
           pool.subnet, pool.last_address)
      .status();
}

Status set_pools(Session& session, const NetworkRow& row) {
  POUCH_RETURN_IF_ERROR(session.run("DELETE FROM network_pools WHERE network_id = ?1", row.id).status());
  int position = 0;
  for (const PoolRow& pool : row.pools) {
    POUCH_RETURN_IF_ERROR(
        session
            .run("INSERT INTO network_pools(network_id, position, subnet, gateway, "
                 "last_address, ip_range, aux_json, chosen, pool_id) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                 "?8, ?9)",
                 row.id, position++, pool.subnet, pool.gateway, pool.last_address, pool.ip_range,
                 api::to_json_text(pool.aux), pool.chosen, pool.pool_id)
            .status());
  }
  return {};
}

Status set_up_boot(Session& session, const std::string& id, const std::string& boot) {
  return session.run("UPDATE networks SET up_boot = ?2 WHERE id = ?1", id, boot).status();
}

Result<bool> set_state(Session& session, const std::string& id, const std::string& from,
                       const std::string& to) {
  POUCH_ASSIGN_OR_RETURN(
      const int64_t changed,
      session.run("UPDATE networks SET state = ?3 WHERE id = ?1 AND state = ?2", id, from, to));
  return changed == 1;
}

Result<bool> is_base(Session& session, const NetworkRow& row) {
  if (!row.config_only) return false;
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT 1 FROM networks WHERE config_from = ?1 LIMIT 1"));
  return find.bind(row.name).step();
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

Result<Texts> intent_owners(Session& session, const std::string& kind) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT key, owner_token FROM intents WHERE kind = ?1"));
  find.bind(kind);
  Texts owners;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return owners;
    owners.emplace(find.text(0), find.text(1));
  }
}

Result<bool> has_guests(Session& session) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT 1 FROM containers WHERE state IN ('starting', 'running', 'exiting') AND "
                      "json_extract(host_config_json, '$.NetworkMode') LIKE 'container:%' LIMIT 1"));
  return find.step();
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
