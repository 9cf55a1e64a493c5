#include "core/volume/records.h"

#include <utility>

#include "core/api/codec.h"

namespace pouch::volume {
namespace {

using store::Session;
using store::Statement;

constexpr const char* kUseKind = "volume-use";
// ?1 of the statements that hold it is the boot.
constexpr const char* kIsActive =
    "c.boot_id = ?1 AND c.state IN ('creating', 'starting', 'running', 'exiting')";

std::string json_of(const std::optional<Texts>& texts) {
  return texts ? api::to_json_text(*texts) : std::string();
}

Result<std::optional<Texts>> texts_of(const std::string& json) {
  if (json.empty()) return std::optional<Texts>();
  POUCH_ASSIGN_OR_RETURN(Texts texts, api::parse_document<Texts>(json, api::DecodeMode::kLenient));
  return std::optional<Texts>(std::move(texts));
}

Result<VolumeRow> read_row(const Statement& found) {
  VolumeRow row;
  row.name = found.text(0);
  row.driver = found.text(1);
  POUCH_ASSIGN_OR_RETURN(row.options, texts_of(found.text(2)));
  POUCH_ASSIGN_OR_RETURN(row.labels, texts_of(found.text(3)));
  row.is_anonymous = found.boolean(4);
  row.state = found.text(5);
  row.owner = found.text(6);
  row.created = found.time(7);
  return row;
}

#define POUCH_VOLUME_COLUMNS \
  "name, driver, options_json, labels_json, is_anonymous, state, owner_token, created_ns"

}  // namespace

Result<std::optional<VolumeRow>> load_volume(Session& session, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare("SELECT " POUCH_VOLUME_COLUMNS " FROM volumes WHERE name = ?1"));
  found.bind(name);
  POUCH_ASSIGN_OR_RETURN(const bool any, found.step());
  if (!any) return std::optional<VolumeRow>();
  POUCH_ASSIGN_OR_RETURN(VolumeRow row, read_row(found));
  return std::optional<VolumeRow>(std::move(row));
}

Result<std::vector<VolumeRow>> all_volumes(Session& session, bool all) {
  POUCH_ASSIGN_OR_RETURN(
      Statement found,
      session.prepare(all ? "SELECT " POUCH_VOLUME_COLUMNS " FROM volumes ORDER BY name"
                          : "SELECT " POUCH_VOLUME_COLUMNS " FROM volumes WHERE state = '' ORDER BY name"));
  std::vector<VolumeRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return rows;
    POUCH_ASSIGN_OR_RETURN(VolumeRow row, read_row(found));
    rows.push_back(std::move(row));
  }
}

Status insert_volume(Session& session, const VolumeRow& row) {
  return session
      .run("INSERT INTO volumes(" POUCH_VOLUME_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", row.name,
           row.driver, json_of(row.options), json_of(row.labels), row.is_anonymous, row.state, row.owner,
           row.created)
      .status();
}

Status delete_volume(Session& session, const std::string& name) {
  return session.run("DELETE FROM volumes WHERE name = ?1", name).status();
}

Result<bool> set_state(Session& session, const std::string& name, const std::string& from,
                       const std::string& to, const std::string& owner) {
  POUCH_ASSIGN_OR_RETURN(
      const int64_t changed,
      session.run("UPDATE volumes SET state = ?3, owner_token = ?4 WHERE name = ?1 AND state = ?2", name,
                  from, to, owner));
  return changed == 1;
}

Result<std::vector<std::string>> users_of(Session& session, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare("SELECT DISTINCT m.container_id FROM container_mounts m JOIN "
                                         "containers c ON c.id = m.container_id WHERE m.volume = ?1 "
                                         "ORDER BY c.created_ns, c.id"));
  found.bind(name);
  std::vector<std::string> ids;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return ids;
    ids.push_back(found.text(0));
  }
}

Result<bool> is_active(Session& session, const std::string& name, const ContainerId& except,
                       const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare(std::string("SELECT 1 FROM container_mounts m JOIN containers c ON "
                                                     "c.id = m.container_id WHERE m.volume = ?2 AND c.id <> "
                                                     "?3 AND ") +
                                         kIsActive + " LIMIT 1"));
  found.bind(boot, name, except);
  return found.step();
}

std::string use_key(const std::string& volume, const VolumeUser& user) {
  return volume + "/" + user.container.str() + "/" + std::to_string(user.generation);
}

Status put_use(Session& session, const std::string& volume, const VolumeUser& user,
               const std::string& owner) {
  Json data = json_object();
  data["volume"] = volume;
  data["container"] = user.container.str();
  data["generation"] = Json::Int64(user.generation);
  return session
      .run(
          "INSERT OR REPLACE INTO intents(kind, key, owner_token, data_json, created_ns) "
          "VALUES(?1, ?2, ?3, ?4, ?5)",
          kUseKind, use_key(volume, user), owner, write_json(data), Timestamp::now())
      .status();
}

Status set_use_place(Session& session, const std::string& key, const std::string& place) {
  return session
      .run("UPDATE intents SET data_json = json_set(data_json, '$.place', ?3) WHERE kind = ?1 AND key = ?2",
           kUseKind, key, place)
      .status();
}

Result<std::string> place_of_use(Session& session, const std::string& volume) {
  POUCH_ASSIGN_OR_RETURN(
      Statement found,
      session.prepare("SELECT json_extract(data_json, '$.place') FROM intents WHERE kind = ?1 AND "
                      "json_extract(data_json, '$.volume') = ?2 AND "
                      "json_extract(data_json, '$.place') IS NOT NULL LIMIT 1"));
  found.bind(kUseKind, volume);
  POUCH_ASSIGN_OR_RETURN(const bool any, found.step());
  return any ? found.text(0) : std::string();
}

Status drop_use(Session& session, const std::string& key) {
  return session.run("DELETE FROM intents WHERE kind = ?1 AND key = ?2", kUseKind, key).status();
}

Result<std::vector<UseRow>> ended_uses(Session& session, const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement found,
      session.prepare(std::string("SELECT i.key, i.data_json FROM intents i WHERE i.kind = 'volume-use' AND "
                                  "NOT EXISTS (SELECT 1 FROM containers c WHERE c.id = "
                                  "json_extract(i.data_json, '$.container') AND c.generation = "
                                  "json_extract(i.data_json, '$.generation') AND ") +
                      kIsActive + ")"));
  found.bind(boot);
  std::vector<UseRow> uses;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return uses;
    POUCH_ASSIGN_OR_RETURN(const Json data, parse_json(found.text(1)));
    UseRow use;
    use.key = found.text(0);
    use.volume = data["volume"].asString();
    use.user = {ContainerId(data["container"].asString()), data["generation"].asInt64()};
    uses.push_back(std::move(use));
  }
}

Result<bool> has_other_uses(Session& session, const std::string& volume, const std::string& key) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare("SELECT 1 FROM intents WHERE kind = ?1 AND key <> ?3 AND "
                                         "json_extract(data_json, '$.volume') = ?2 LIMIT 1"));
  found.bind(kUseKind, volume, key);
  return found.step();
}

}  // namespace pouch::volume
