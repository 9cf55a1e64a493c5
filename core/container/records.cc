#include "core/container/records.h"

#include "core/base/text.h"
#include "core/container/names.h"

namespace pouch::container {
namespace {

using store::Session;
using store::Statement;

#define POUCH_CONTAINER_COLUMNS                                                                             \
  "id, name, state, stopping, paused, generation, owner_token, boot_id, config_json, host_config_json, "    \
  "image_ref, image_id, snapshotter, snapshot_key, runtime, log_path, auto_remove, pid, exit_code, error, " \
  "oom_killed, restart_count, created_ns, started_ns, finished_ns"

constexpr std::string_view kSelect = "SELECT " POUCH_CONTAINER_COLUMNS " FROM containers ";

ContainerRow read_row(const Statement& found) {
  ContainerRow row;
  int column = 0;
  row.id = ContainerId(found.text(column++));
  row.name = found.text(column++);
  row.state = found.text(column++);
  row.stopping = found.boolean(column++);
  row.paused = found.boolean(column++);
  row.generation = found.integer(column++);
  row.owner = found.text(column++);
  row.boot_id = found.text(column++);
  row.config_json = found.text(column++);
  row.host_config_json = found.text(column++);
  row.image_ref = found.text(column++);
  row.image_id = Digest(found.text(column++));
  row.snapshotter = found.text(column++);
  row.snapshot_key = found.text(column++);
  row.runtime = found.text(column++);
  row.log_path = found.text(column++);
  row.auto_remove = found.boolean(column++);
  row.pid = found.integer(column++);
  row.exit_code = found.integer(column++);
  row.error = found.text(column++);
  row.oom_killed = found.boolean(column++);
  row.restart_count = found.integer(column++);
  row.created = found.time(column++);
  row.started = found.time(column++);
  row.finished = found.time(column++);
  return row;
}

Result<std::vector<ContainerRow>> read_rows(Statement& found) {
  std::vector<ContainerRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return rows;
    rows.push_back(read_row(found));
  }
}

Result<std::vector<ContainerRow>> select_where(Session& session, std::string_view where,
                                               std::string_view value) {
  POUCH_ASSIGN_OR_RETURN(Statement found, session.prepare(std::string(kSelect) + std::string(where)));
  found.bind(value);
  return read_rows(found);
}

constexpr size_t kIdLength = 64;

// The first text that is greater than all that begin with `prefix` (of hex digits).
std::string end_of_prefix(const std::string& prefix) {
  return prefix + 'g';
}

std::string shown(const std::string& text) {
  const std::string quoted = quote(text);
  return quoted == '"' + text + '"' ? text : quoted;
}

#define POUCH_EXEC_COLUMNS                                                                          \
  "id, container_id, generation, state, owner_token, boot_id, config_json, pid, exit_code, error, " \
  "created_ns, started_ns, finished_ns"

ExecRow read_exec(const Statement& found) {
  ExecRow row;
  row.id = ExecId(found.text(0));
  row.container_id = ContainerId(found.text(1));
  row.generation = found.integer(2);
  row.state = found.text(3);
  row.owner = found.text(4);
  row.boot_id = found.text(5);
  row.config_json = found.text(6);
  row.pid = found.integer(7);
  if (!found.is_null(8)) row.exit_code = found.integer(8);
  row.error = found.text(9);
  row.created = found.time(10);
  row.started = found.time(11);
  row.finished = found.time(12);
  return row;
}

Result<std::vector<ExecRow>> read_execs(Statement& found) {
  std::vector<ExecRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return rows;
    rows.push_back(read_exec(found));
  }
}

}  // namespace

// Lenient: an older or newer build of us may have written the document.
Result<api::ContainerConfig> ContainerRow::config() const {
  return api::parse_document<api::ContainerConfig>(config_json, api::DecodeMode::kLenient);
}

Result<api::HostConfig> ContainerRow::host_config() const {
  return api::parse_document<api::HostConfig>(host_config_json, api::DecodeMode::kLenient);
}

Result<api::ExecConfig> ExecRow::config() const {
  return api::parse_document<api::ExecConfig>(config_json, api::DecodeMode::kLenient);
}

Status insert_container(Session& session, const ContainerRow& row) {
  const std::optional<std::string> owner =
      row.owner.empty() ? std::nullopt : std::optional<std::string>(row.owner);
  return session
      .run(
          "INSERT INTO containers (id, name, state, owner_token, boot_id, config_json, host_config_json, "
          "image_ref, image_id, snapshotter, snapshot_key, runtime, log_path, auto_remove, created_ns) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
          row.id, row.name, row.state, owner, row.boot_id, row.config_json, row.host_config_json,
          row.image_ref, row.image_id, row.snapshotter, row.snapshot_key, row.runtime, row.log_path,
          row.auto_remove, row.created)
      .status();
}

Result<std::optional<ContainerRow>> load_container(Session& session, const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(auto rows, select_where(session, "WHERE id = ?1", id.str()));
  if (rows.empty()) return std::optional<ContainerRow>();
  return std::optional<ContainerRow>(std::move(rows.front()));
}

Result<ContainerRow> find_container(Session& session, const std::string& reference) {
  if (reference.size() == kIdLength && is_hex(reference)) {
    POUCH_ASSIGN_OR_RETURN(auto by_id, select_where(session, "WHERE id = ?1", reference));
    if (!by_id.empty()) return std::move(by_id.front());
  }
  POUCH_ASSIGN_OR_RETURN(auto by_name, select_where(session, "WHERE name = ?1", strip_slash(reference)));
  if (!by_name.empty()) return std::move(by_name.front());
  if (!reference.empty() && reference.size() < kIdLength && is_hex(reference)) {
    POUCH_ASSIGN_OR_RETURN(Statement found,
                           session.prepare(std::string(kSelect) + "WHERE id >= ?1 AND id < ?2 LIMIT 2"));
    found.bind(reference, end_of_prefix(reference));
    POUCH_ASSIGN_OR_RETURN(auto by_prefix, read_rows(found));
    if (by_prefix.size() > 1) {
      return invalid_argument("multiple IDs found with provided prefix: " + reference);
    }
    if (!by_prefix.empty()) return std::move(by_prefix.front());
  }
  return not_found("No such container: " + shown(reference));
}

Result<std::optional<ContainerId>> id_of_name(Session& session, std::string_view name) {
  POUCH_ASSIGN_OR_RETURN(Statement found, session.prepare("SELECT id FROM containers WHERE name = ?1"));
  found.bind(name);
  POUCH_ASSIGN_OR_RETURN(const bool any, found.step());
  if (!any) return std::optional<ContainerId>();
  return std::optional<ContainerId>(ContainerId(found.text(0)));
}

Result<std::vector<ContainerRow>> all_containers(Session& session, bool all) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare(std::string(kSelect) +
                                         (all ? "ORDER BY created_ns DESC, id"
                                              : "WHERE state <> 'creating' ORDER BY created_ns DESC, id")));
  return read_rows(found);
}

Result<std::vector<ContainerRow>> containers_of_image(Session& session, const Digest& image_id) {
  return select_where(session, "WHERE image_id = ?1 ORDER BY created_ns DESC, id", image_id.str());
}

Status insert_exec(Session& session, const ExecRow& row) {
  return session
      .run(
          "INSERT INTO execs (id, container_id, generation, state, boot_id, config_json, created_ns) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
          row.id, row.container_id, row.generation, row.state, row.boot_id, row.config_json, row.created)
      .status();
}

Result<ExecRow> find_exec(Session& session, const std::string& id) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare("SELECT " POUCH_EXEC_COLUMNS " FROM execs WHERE id = ?1"));
  found.bind(id);
  POUCH_ASSIGN_OR_RETURN(auto rows, read_execs(found));
  if (rows.empty()) return not_found("No such exec instance: " + shown(id));
  return std::move(rows.front());
}

Result<std::vector<ExecRow>> execs_of_container(Session& session, const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(Statement found,
                         session.prepare("SELECT " POUCH_EXEC_COLUMNS
                                         " FROM execs WHERE container_id = ?1 ORDER BY created_ns, id"));
  found.bind(id);
  return read_execs(found);
}

Result<std::vector<ExecRow>> active_execs(Session& session) {
  POUCH_ASSIGN_OR_RETURN(
      Statement found,
      session.prepare("SELECT " POUCH_EXEC_COLUMNS " FROM execs WHERE state NOT IN ('created', 'exited')"));
  return read_execs(found);
}

Status drop_old_execs(Session& session, Timestamp time) {
  return session.run("DELETE FROM execs WHERE state = 'exited' AND finished_ns < ?1", time).status();
}

}  // namespace pouch::container
