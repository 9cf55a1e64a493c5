#include "core/image/image_store.h"

#include <utility>

#include "core/base/text.h"
#include "core/store/session_objects.h"

namespace pouch::image {
namespace {

constexpr std::string_view kSha256 = "sha256:";
constexpr size_t kHexChars = 64;

constexpr const char* kImageColumns =
    "id, config_json, manifest, manifest_type, manifest_size, chain_id, snapshotter, size, architecture, os, "
    "created_ns";

ImageRow read_image(const store::Statement& row) {
  ImageRow image;
  image.id = Digest(row.text(0));
  image.config_json = row.text(1);
  image.manifest.digest = Digest(row.text(2));
  image.manifest.media_type = row.text(3);
  image.manifest.size = row.integer(4);
  image.chain_id = ChainId(row.text(5));
  image.snapshotter = row.text(6);
  image.size = row.integer(7);
  image.architecture = row.text(8);
  image.os = row.text(9);
  image.created = row.time(10);
  return image;
}

Result<std::vector<NameRow>> read_names(store::Statement& rows) {
  std::vector<NameRow> names;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return names;
    POUCH_ASSIGN_OR_RETURN(Reference reference, Reference::parse(rows.text(0)));
    names.push_back({std::move(reference), Digest(rows.text(1)), rows.time(2)});
  }
}

// Moby completes what was asked for in this message: "No such image: busybox:latest".
Status no_such_image(const std::string& text) {
  const auto reference = Reference::parse(text);
  return not_found("No such image: " + (reference.is_ok() ? reference->with_default_tag().familiar() : text));
}

// The hex digits that `text` may mean as an id or a prefix of one; empty: it cannot mean one.
std::string_view id_hex(std::string_view text) {
  if (text.starts_with(kSha256)) text.remove_prefix(kSha256.size());
  return text.size() <= kHexChars && is_hex(text) ? text : std::string_view();
}

Result<std::optional<Digest>> find_reference(store::Session& session, const Reference& reference) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> named, find_name(session, reference.str()));
  if (named || reference.digest().empty()) return named;
  // A digest beside a tag is what counts.
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> by_digest,
                         find_name(session, reference.with_digest(reference.digest()).str()));
  if (by_digest) return by_digest;
  return find_manifest(session, reference.repository(), reference.digest());
}

Result<Digest> find_by_prefix(store::Session& session, const std::string& text) {
  const std::string_view hex = id_hex(text);
  if (hex.empty()) return no_such_image(text);
  POUCH_ASSIGN_OR_RETURN(const std::vector<Digest> ids, ids_with_prefix(session, hex));
  if (ids.size() > 1) return invalid_argument("the image id prefix " + quote(text) + " fits several images");
  if (ids.empty()) return no_such_image(text);
  return ids.front();
}

}  // namespace

Result<std::optional<ImageRow>> find_image(store::Session& session, const Digest& id) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row, session.prepare(std::string("SELECT ") + kImageColumns +
                                                               " FROM images WHERE id = ?"));
  row.bind(id);
  POUCH_ASSIGN_OR_RETURN(const bool found, row.step());
  if (!found) return std::optional<ImageRow>();
  return std::optional<ImageRow>(read_image(row));
}

Result<std::vector<ImageRow>> all_images(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(store::Statement rows, session.prepare(std::string("SELECT ") + kImageColumns +
                                                                " FROM images ORDER BY created_ns DESC, id"));
  std::vector<ImageRow> images;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return images;
    images.push_back(read_image(rows));
  }
}

Result<int64_t> count_images(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row, session.prepare("SELECT count(*) FROM images"));
  POUCH_RETURN_IF_ERROR(row.step().status());
  return row.integer(0);
}

Result<std::vector<Digest>> ids_with_prefix(store::Session& session, std::string_view hex) {
  // 'g' sorts right behind every hex digit: a range of the primary key.
  const std::string low = std::string(kSha256).append(hex);
  POUCH_ASSIGN_OR_RETURN(store::Statement rows,
                         session.prepare("SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2"));
  rows.bind(low, low + "g");
  std::vector<Digest> ids;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return ids;
    ids.emplace_back(rows.text(0));
  }
}

Result<std::optional<Digest>> find_name(store::Session& session, const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row,
                         session.prepare("SELECT image_id FROM image_references WHERE reference = ?"));
  row.bind(reference);
  POUCH_ASSIGN_OR_RETURN(const bool found, row.step());
  return found ? std::optional<Digest>(row.text(0)) : std::nullopt;
}

Result<std::optional<Digest>> find_manifest(store::Session& session, const std::string& repository,
                                            const Digest& manifest) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement row,
      session.prepare("SELECT r.image_id FROM image_references r "
                      "JOIN images i ON i.id = r.image_id "
                      "WHERE i.manifest = ?1 AND r.reference > ?2 AND r.reference < ?3 LIMIT 1"));
  row.bind(manifest, repository + ":", repository + ";");  // ';' follows ':'
  POUCH_ASSIGN_OR_RETURN(const bool found, row.step());
  return found ? std::optional<Digest>(row.text(0)) : std::nullopt;
}

Result<std::vector<NameRow>> names_of(store::Session& session, const Digest& id) {
  POUCH_ASSIGN_OR_RETURN(store::Statement rows,
                         session.prepare("SELECT reference, image_id, tagged_ns FROM image_references "
                                         "WHERE image_id = ? ORDER BY reference"));
  rows.bind(id);
  return read_names(rows);
}

Result<std::vector<NameRow>> all_names(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement rows,
      session.prepare("SELECT reference, image_id, tagged_ns FROM image_references ORDER BY reference"));
  return read_names(rows);
}

Status put_image(store::Transaction& transaction, const ImageRow& image, const std::vector<LayerRow>& layers,
                 const std::string& session) {
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("INSERT INTO images (id, config_json, manifest, manifest_type, manifest_size, chain_id, "
               "snapshotter, size, architecture, os, created_ns, added_ns, of_sessions) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
               "ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, "
               "manifest_type = excluded.manifest_type, manifest_size = excluded.manifest_size, "
               "snapshotter = excluded.snapshotter, size = excluded.size, "
               "of_sessions = min(of_sessions, excluded.of_sessions)",
               image.id, image.config_json, image.manifest.digest, image.manifest.media_type,
               image.manifest.size, image.chain_id, image.snapshotter, image.size, image.architecture,
               image.os, image.created, Timestamp::now(), !session.empty())
          .status());
  POUCH_RETURN_IF_ERROR(store::claim_for_session(transaction, session, store::kind::kImage, image.id.str()));
  int64_t position = 0;
  for (const LayerRow& layer : layers) {
    POUCH_RETURN_IF_ERROR(
        transaction
            .run("INSERT OR REPLACE INTO image_layers (image_id, position, chain_id, blob, size) "
                 "VALUES (?, ?, ?, ?, ?)",
                 image.id, position++, layer.chain_id, layer.blob, layer.size)
            .status());
  }
  return {};
}

Result<bool> swap_manifest(store::Transaction& transaction, const Digest& id, const Digest& before,
                           const ctrd::Descriptor& manifest, const std::vector<Digest>& blobs) {
  POUCH_ASSIGN_OR_RETURN(
      const int64_t count,
      transaction.run("UPDATE images SET manifest = ?, manifest_type = ?, manifest_size = ? "
                      "WHERE id = ? AND manifest = ?",
                      manifest.digest, manifest.media_type, manifest.size, id, before));
  if (count == 0) return false;
  int64_t position = 0;
  for (const Digest& blob : blobs) {
    POUCH_RETURN_IF_ERROR(
        transaction
            .run("UPDATE image_layers SET blob = ? WHERE image_id = ? AND position = ?", blob, id, position++)
            .status());
  }
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("UPDATE image_references SET digest = ?1 WHERE image_id = ?2 AND digest = ?3 AND "
               "instr(reference, '@') = 0",
               manifest.digest, id, before)
          .status());
  return true;
}

Result<std::optional<Digest>> put_name(store::Transaction& transaction, const Reference& reference,
                                       const Digest& id, const Digest& manifest, const std::string& session) {
  POUCH_ASSIGN_OR_RETURN(std::optional<Digest> before, find_name(transaction, reference.str()));
  POUCH_RETURN_IF_ERROR(transaction
                            .run("INSERT INTO image_references (reference, image_id, digest, tagged_ns, "
                                 "of_sessions) VALUES (?, ?, ?, ?, ?) ON CONFLICT (reference) DO UPDATE SET "
                                 "image_id = excluded.image_id, digest = excluded.digest, "
                                 "tagged_ns = excluded.tagged_ns, "
                                 "of_sessions = min(of_sessions, excluded.of_sessions)",
                                 reference.str(), id, manifest, Timestamp::now(), !session.empty())
                            .status());
  POUCH_RETURN_IF_ERROR(
      store::claim_for_session(transaction, session, store::kind::kReference, reference.str()));
  if (before && *before == id) before.reset();
  return before;
}

Result<bool> is_image_of_sessions(store::Session& session, const Digest& id) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row,
                         session.prepare("SELECT of_sessions FROM images WHERE id = ?"));
  row.bind(id);
  POUCH_ASSIGN_OR_RETURN(const bool found, row.step());
  return found && row.boolean(0);
}

Result<bool> is_name_of_sessions(store::Session& session, const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row,
                         session.prepare("SELECT of_sessions FROM image_references WHERE reference = ?"));
  row.bind(reference);
  POUCH_ASSIGN_OR_RETURN(const bool found, row.step());
  return found && row.boolean(0);
}

Status make_image_everybodys(store::Transaction& transaction, const Digest& id) {
  return transaction.run("UPDATE images SET of_sessions = 0 WHERE id = ?", id).status();
}

Status remove_name(store::Transaction& transaction, const Reference& reference) {
  return transaction.run("DELETE FROM image_references WHERE reference = ?", reference.str()).status();
}

Status remove_image(store::Transaction& transaction, const Digest& id) {
  POUCH_RETURN_IF_ERROR(transaction.run("DELETE FROM image_references WHERE image_id = ?", id).status());
  POUCH_RETURN_IF_ERROR(transaction.run("DELETE FROM image_layers WHERE image_id = ?", id).status());
  return transaction.run("DELETE FROM images WHERE id = ?", id).status();
}

Result<std::vector<LayerRow>> layers_of(store::Session& session, const Digest& id) {
  POUCH_ASSIGN_OR_RETURN(store::Statement rows,
                         session.prepare("SELECT chain_id, blob, size FROM image_layers WHERE image_id = ? "
                                         "ORDER BY position"));
  rows.bind(id);
  std::vector<LayerRow> layers;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return layers;
    layers.push_back({ChainId(rows.text(0)), Digest(rows.text(1)), rows.integer(2)});
  }
}

Result<std::vector<ChainId>> unshared_layers(store::Session& session, const Digest& id) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement rows,
      session.prepare("SELECT chain_id FROM image_layers mine WHERE image_id = ?1 AND NOT EXISTS "
                      "(SELECT 1 FROM image_layers other WHERE other.chain_id = mine.chain_id "
                      "AND other.image_id <> ?1) ORDER BY position DESC"));
  rows.bind(id);
  std::vector<ChainId> chain;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return chain;
    chain.emplace_back(rows.text(0));
  }
}

Result<std::map<Digest, int64_t>> shared_bytes(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement rows,
      session.prepare("SELECT image_id, SUM(size) FROM image_layers WHERE chain_id IN "
                      "(SELECT chain_id FROM image_layers GROUP BY chain_id HAVING COUNT(*) > 1) "
                      "GROUP BY image_id"));
  std::map<Digest, int64_t> out;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return out;
    out[Digest(rows.text(0))] = rows.integer(1);
  }
}

Result<int64_t> layers_bytes(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(store::Statement row,
                         session.prepare("SELECT COALESCE(SUM(size), 0) FROM "
                                         "(SELECT MAX(size) AS size FROM image_layers GROUP BY chain_id)"));
  POUCH_RETURN_IF_ERROR(row.step().status());
  return row.integer(0);
}

Result<Digest> resolve_image(store::Session& session, const std::string& text) {
  const std::string_view hex = id_hex(text);
  if (hex.size() == kHexChars) {
    POUCH_ASSIGN_OR_RETURN(const std::vector<Digest> ids, ids_with_prefix(session, hex));
    if (ids.empty()) return not_found("No such image: " + std::string(kSha256).append(hex));
    return ids.front();
  }
  const auto reference = Reference::parse(text);
  if (!reference.is_ok()) {
    // "sha256:12ab" is an id prefix although it reads like a name.
    return hex.empty() ? Result<Digest>(reference.status()) : find_by_prefix(session, text);
  }
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> named,
                         find_reference(session, reference->with_default_tag()));
  if (named) return *named;
  return find_by_prefix(session, text);
}

bool is_id_prefix(std::string_view text, const Digest& id) {
  const std::string_view hex = id_hex(text);
  return !hex.empty() && std::string_view(id.str()).substr(kSha256.size()).starts_with(hex);
}

}  // namespace pouch::image
