#include "core/network/endpoints.h"

#include <utility>

#include "core/api/codec.h"

namespace pouch::network {

using store::Session;
using store::Statement;

namespace {

#define POUCH_ENDPOINT_COLUMNS                                                                     \
  "e.network_id, e.container_id, e.settings_json, e.endpoint_id, e.generation, e.boot_id, e.mac, " \
  "e.address, e.address6, e.link, e.state, e.plugin_json"

#define POUCH_CLEAR_RUN \
  "endpoint_id = '', mac = '', address = '', address6 = '', link = '', state = '', plugin_json = ''"

EndpointRow read_row(const Statement& found) {
  EndpointRow row;
  row.network_id = found.text(0);
  row.container_id = ContainerId(found.text(1));
  row.settings_json = found.text(2);
  row.endpoint_id = found.text(3);
  row.generation = found.integer(4);
  int column = 5;
  for (std::string* text :
       {&row.boot_id, &row.mac, &row.address, &row.address6, &row.link, &row.state, &row.plugin_json}) {
    *text = found.text(column++);
  }
  return row;
}

Result<std::vector<std::string>> texts_of(Statement& rows) {
  std::vector<std::string> out;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, rows.step());
    if (!more) return out;
    out.push_back(rows.text(0));
  }
}

}  // namespace

Result<api::EndpointSettings> EndpointRow::settings() const {
  return api::parse_document<api::EndpointSettings>(settings_json, api::DecodeMode::kLenient);
}

Status insert_endpoint(Session& session, const EndpointRow& row, const std::vector<std::string>& names) {
  POUCH_RETURN_IF_ERROR(
      session
          .run("INSERT INTO endpoints(network_id, container_id, settings_json) VALUES(?1, ?2, ?3)",
               row.network_id, row.container_id, row.settings_json)
          .status());
  int position = 0;
  for (const std::string& name : names) {
    POUCH_RETURN_IF_ERROR(session
                              .run("INSERT OR IGNORE INTO endpoint_names(network_id, name, container_id, "
                                   "position, is_own) VALUES(?1, ?2, ?3, ?4, ?5)",
                                   row.network_id, name, row.container_id, position, position == 0)
                              .status());
    ++position;
  }
  return {};
}

Status delete_endpoint(Session& session, const std::string& network_id, const ContainerId& container) {
  return session
      .run("DELETE FROM endpoints WHERE network_id = ?1 AND container_id = ?2", network_id, container)
      .status();
}

Result<std::optional<EndpointRow>> find_endpoint(Session& session, const std::string& network_id,
                                                 const ContainerId& container) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT " POUCH_ENDPOINT_COLUMNS
                                         " FROM endpoints e WHERE network_id = ?1 AND container_id = ?2"));
  find.bind(network_id, container);
  POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
  if (!found) return std::optional<EndpointRow>();
  return std::optional<EndpointRow>(read_row(find));
}

Result<std::vector<EndpointRow>> endpoints_of(Session& session, const ContainerId& container) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT " POUCH_ENDPOINT_COLUMNS
                                         " FROM endpoints e JOIN networks n ON n.id = e.network_id "
                                         "WHERE e.container_id = ?1 AND e.state <> 'left' ORDER BY n.name"));
  find.bind(container);
  std::vector<EndpointRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return rows;
    rows.push_back(read_row(find));
  }
}

Result<std::vector<std::string>> names_of(Session& session, const std::string& network_id,
                                          const ContainerId& container) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT name FROM endpoint_names WHERE network_id = ?1 AND "
                                         "container_id = ?2 ORDER BY position"));
  find.bind(network_id, container);
  return texts_of(find);
}

Status set_running(Session& session, const EndpointRow& row) {
  return session
      .run(
          "UPDATE endpoints SET endpoint_id = ?3, generation = ?4, boot_id = ?5, mac = ?6, address = ?7, "
          "address6 = ?8, link = ?9, state = ?10, plugin_json = ?11 WHERE network_id = ?1 AND container_id = "
          "?2",
          row.network_id, row.container_id, row.endpoint_id, row.generation, row.boot_id, row.mac,
          row.address, row.address6, row.link, row.state, row.plugin_json)
      .status();
}

Status set_endpoint_state(Session& session, const EndpointRow& row, const std::string& state) {
  return session
      .run("UPDATE endpoints SET state = ?4 WHERE network_id = ?1 AND container_id = ?2 AND endpoint_id = ?3",
           row.network_id, row.container_id, row.endpoint_id, state)
      .status();
}

Result<std::vector<std::string>> set_ended(Session& session, const ContainerId& container,
                                           int64_t generation) {
  std::vector<std::string> networks;
  {
    POUCH_ASSIGN_OR_RETURN(
        Statement find,
        session.prepare(
            "SELECT e.network_id FROM endpoints e JOIN networks n ON n.id = e.network_id WHERE "
            "e.container_id = ?1 AND e.generation <= ?2 AND e.endpoint_id <> '' ORDER BY n.name"));
    find.bind(container, generation);
    POUCH_ASSIGN_OR_RETURN(networks, texts_of(find));
  }
  POUCH_RETURN_IF_ERROR(session
                            .run("UPDATE endpoints SET " POUCH_CLEAR_RUN
                                 " WHERE container_id = ?1 AND generation <= ?2 AND endpoint_id <> ''",
                                 container, generation)
                            .status());
  POUCH_RETURN_IF_ERROR(
      session
          .run("DELETE FROM endpoints WHERE container_id = ?1 AND endpoint_id = '' AND settings_json = ?2",
               container, kLastResort)
          .status());
  return networks;
}

Result<bool> is_address_taken(Session& session, const std::string& network_id, const std::string& address) {
  const bool v6 = address.find(':') != std::string::npos;
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare(
          v6 ? "SELECT 1 FROM endpoints WHERE network_id = ?1 AND address6 = ?2 AND address6 <> ''"
             : "SELECT 1 FROM endpoints WHERE network_id = ?1 AND address = ?2 AND address <> ''"));
  return find.bind(network_id, address).step();
}

Result<std::vector<Member>> running_members(Session& session, const std::string& network_id,
                                            const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find, session.prepare("SELECT " POUCH_ENDPOINT_COLUMNS
                                      ", c.name FROM endpoints e JOIN containers c ON c.id = e.container_id "
                                      "WHERE e.network_id = ?1 AND e.endpoint_id <> '' AND e.boot_id = ?2"));
  find.bind(network_id, boot);
  std::vector<Member> members;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return members;
    members.push_back({read_row(find), find.text(12)});
  }
}

Result<bool> is_in_use(Session& session, const std::string& network_id) {
  POUCH_ASSIGN_OR_RETURN(Statement find,
                         session.prepare("SELECT 1 FROM endpoints WHERE network_id = ?1 LIMIT 1"));
  return find.bind(network_id).step();
}

Status drop_old_addresses(Session& session, const std::string& network_id, const std::string& boot) {
  return session
      .run("UPDATE endpoints SET " POUCH_CLEAR_RUN " WHERE network_id = ?1 AND boot_id <> ?2", network_id,
           boot)
      .status();
}

std::string endpoint_key(const EndpointRow& row) {
  return row.network_id + "-" + row.container_id.str();
}

}  // namespace pouch::network
