#include "core/container/mount_rows.h"

#include <utility>

#include "core/api/codec.h"

namespace pouch::container {

using store::Session;
using store::Statement;

Status insert_mounts(Session& session, const ContainerId& id, const std::vector<MountRow>& rows) {
  int64_t position = 0;
  for (const MountRow& row : rows) {
    const std::optional<std::string> volume =
        row.is_volume() ? std::optional<std::string>(row.volume) : std::nullopt;
    POUCH_RETURN_IF_ERROR(session
                              .run("INSERT INTO container_mounts(container_id, destination, position, "
                                   "volume, driver, mode, image_id, "
                                   "mount_json, ends_volume) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                                   id, row.destination, position++, volume, row.driver, row.mode,
                                   row.image_id, api::to_json_text(row.mount), static_cast<int>(row.ending))
                              .status());
  }
  return {};
}

Result<std::vector<MountRow>> mounts_of_container(Session& session, const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(
      Statement found,
      session.prepare("SELECT destination, volume, driver, mode, image_id, mount_json, ends_volume "
                      "FROM container_mounts WHERE container_id = ?1 ORDER BY position"));
  found.bind(id);
  std::vector<MountRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return rows;
    MountRow row;
    row.destination = found.text(0);
    row.volume = found.text(1);
    row.driver = found.text(2);
    row.mode = found.text(3);
    row.image_id = Digest(found.text(4));
    POUCH_ASSIGN_OR_RETURN(row.mount,
                           api::parse_document<api::Mount>(found.text(5), api::DecodeMode::kLenient));
    row.ending = static_cast<Ending>(found.integer(6));
    rows.push_back(std::move(row));
  }
}

Status set_endings(Session& session, const ContainerId& id, Ending from, Ending to) {
  return session
      .run("UPDATE container_mounts SET ends_volume = ?3 WHERE container_id = ?1 AND ends_volume = ?2", id,
           static_cast<int>(from), static_cast<int>(to))
      .status();
}

Result<std::vector<std::string>> delete_mounts(Session& session, const ContainerId& id) {
  std::vector<std::string> ending;
  {
    POUCH_ASSIGN_OR_RETURN(
        Statement found,
        session.prepare("SELECT DISTINCT m.volume FROM container_mounts m WHERE m.container_id = ?1 AND "
                        "m.volume IS NOT NULL AND m.ends_volume = 2 AND NOT EXISTS (SELECT 1 FROM "
                        "container_mounts o WHERE o.volume = m.volume AND o.container_id <> ?1)"));
    found.bind(id);
    while (true) {
      POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
      if (!more) break;
      ending.push_back(found.text(0));
    }
  }
  POUCH_RETURN_IF_ERROR(session.run("DELETE FROM container_mounts WHERE container_id = ?1", id).status());
  return ending;
}

}  // namespace pouch::container
