#include "core/image/index_push.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/image/archive_images.h"
#include "core/image/docker_archive.h"
#include "core/image/gzip_layers.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/layer_uploads.h"
#include "core/image/manifest.h"
#include "core/image/stored_image.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

struct Member {
  std::string given;  ///< as the caller named it
  StoredImage image;
};

Result<Digest> find_member(EngineContext& context, const std::string& text) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  return resolve_image(session, text);
}

Status check_fits(const std::vector<Member>& members, const Member& one, const PushRequest& request) {
  const api::Platform platform = platform_of(one.image.facts);
  if (request.platform && !matches_platform(one.image.facts, *request.platform)) {
    return invalid_argument("index: " + one.given + " is for " + platform_text(platform) + ", not for " +
                            platform_text(*request.platform));
  }
  for (const Member& other : members) {
    if (!is_same_platform(platform_of(other.image.facts), platform)) continue;
    return invalid_argument("index: " + other.given + " and " + one.given + " are both for " +
                            platform_text(platform));
  }
  return {};
}

Result<std::vector<Member>> find_members(EngineContext& context, const Call& call, const ctrd::Client& leased,
                                         const PushRequest& request, const ImageLimits& limits) {
  if (request.index.size() > limits.max_images) {
    return Status(Code::kResourceExhausted,
                  "index: more than " + std::to_string(limits.max_images) + " images");
  }
  std::vector<Member> members;
  for (const std::string& text : request.index) {
    POUCH_ASSIGN_OR_RETURN(const Digest id, find_member(context, text));
    POUCH_ASSIGN_OR_RETURN(StoredImage image, read_pinned_image(context, leased, call, id, limits));
    Member member{text, std::move(image)};
    POUCH_RETURN_IF_ERROR(check_fits(members, member, request));
    members.push_back(std::move(member));
  }
  return members;
}

bool is_docker(const Member& member) {
  return member.image.row.manifest.media_type == kDockerManifestType;
}

Json entry_of(const StoredImage& image) {
  const ctrd::Descriptor& manifest = image.row.manifest;
  Json out = json_object();
  out["mediaType"] = manifest.media_type;
  out["digest"] = manifest.digest.str();
  out["size"] = static_cast<Json::Int64>(manifest.size);
  out["platform"] = api::encode_value(platform_of(image.facts));
  return out;
}

struct Index {
  std::string media_type;
  std::string json;
};

// Docker's list holds Docker's manifests alone; OCI's index takes both.
Index make_index(const std::vector<Member>& members) {
  const bool is_list = std::ranges::all_of(members, is_docker);
  Index out{is_list ? kDockerListType : kOciIndexType, {}};
  Json root = json_object();
  root["schemaVersion"] = 2;
  root["mediaType"] = out.media_type;
  root["manifests"] = json_array();
  for (const Member& member : members) root["manifests"].append(entry_of(member.image));
  out.json = write_json(root);
  return out;
}

Status record_push(EngineContext& context, const Call& call, const Reference& name) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(append_image_event(context, transaction, "push", Digest(name.familiar()),
                                           name.familiar_repository(), {}));
  return transaction.commit();
}

}  // namespace

Result<api::PushedImage> push_index(EngineContext& context, const Call& call,
                                    const std::shared_ptr<ctrd::Client>& leased,
                                    registry::Repository& repository, const PushRequest& request,
                                    Progress& progress, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(std::vector<Member> members, find_members(context, call, *leased, request, limits));
  for (Member& member : members) {
    POUCH_ASSIGN_OR_RETURN(member.image,
                           gzip_layers(context, call, leased, std::move(member.image), progress));
    const StoredImage& image = member.image;
    POUCH_RETURN_IF_ERROR(LayerUploads(*leased, repository, request.name, call, image, progress).run());
    POUCH_RETURN_IF_ERROR(repository
                              .put_manifest(call, image.row.manifest.digest.str(),
                                            image.row.manifest.media_type, image.manifest_json)
                              .status());
  }
  const Index index = make_index(members);
  POUCH_ASSIGN_OR_RETURN(const std::string digest,
                         repository.put_manifest(call, request.name.tag(), index.media_type, index.json));
  POUCH_RETURN_IF_ERROR(record_push(context, settled(call), request.name));
  api::PushedImage out;
  out.reference = request.name.familiar();
  out.digest = digest;
  out.size = static_cast<int64_t>(index.json.size());
  progress.pushed(request.name.tag(), out.digest, out.size);
  return out;
}

}  // namespace pouch::image
