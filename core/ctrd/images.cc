#include "core/ctrd/images.h"

#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "images.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::images::v1;

constexpr int kPutAttempts = 10;  // each lost to somebody who created or removed the name in between

ImageRecord image_from(const pb::Image& message) {
  return {.name = message.name(),
          .labels = labels_from(message.labels()),
          .target = descriptor_from(message.target()),
          .created_at = timestamp_from(message.created_at()),
          .updated_at = timestamp_from(message.updated_at())};
}

void fill_image(const ImageRecord& image, pb::Image& message) {
  message.set_name(image.name);
  fill_labels(image.labels, *message.mutable_labels());
  fill(image.target, *message.mutable_target());
}

}  // namespace

Result<ImageRecord> Images::get(const Call& call, const std::string& name) const {
  pb::GetImageRequest request;
  request.set_name(name);
  pb::GetImageResponse response;
  const Rpc rpc{.path = "/containerd.services.images.v1.Images/Get", .name = "images.get", .object = name};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return image_from(response.image());
}

Result<std::vector<ImageRecord>> Images::list(const Call& call, const Filters& filters) const {
  pb::ListImagesRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListImagesResponse response;
  const Rpc rpc{.path = "/containerd.services.images.v1.Images/List", .name = "images.list"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<ImageRecord> images;
  for (const pb::Image& message : response.images()) images.push_back(image_from(message));
  return images;
}

Result<ImageRecord> Images::create(const Call& call, const ImageRecord& image) const {
  pb::CreateImageRequest request;
  fill_image(image, *request.mutable_image());
  pb::CreateImageResponse response;
  const Rpc rpc{
      .path = "/containerd.services.images.v1.Images/Create", .name = "images.create", .object = image.name};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return image_from(response.image());
}

Result<ImageRecord> Images::update(const Call& call, const ImageRecord& image) const {
  pb::UpdateImageRequest request;
  fill_image(image, *request.mutable_image());
  request.mutable_update_mask()->add_paths("target");
  request.mutable_update_mask()->add_paths("labels");
  pb::UpdateImageResponse response;
  const Rpc rpc{
      .path = "/containerd.services.images.v1.Images/Update", .name = "images.update", .object = image.name};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return image_from(response.image());
}

Result<ImageRecord> Images::put(const Call& call, const ImageRecord& image) const {
  const Call bounded = with_default_deadline(call, 10'000);
  Result<ImageRecord> result = update(bounded, image);
  for (int attempt = 0; attempt < kPutAttempts && result.code() == Code::kNotFound; ++attempt) {
    result = create(bounded, image);
    if (result.code() != Code::kAlreadyExists) return result;
    result = update(bounded, image);
  }
  return result;
}

Status Images::remove(const Call& call, const std::string& name, bool sync) const {
  pb::DeleteImageRequest request;
  request.set_name(name);
  request.set_sync(sync);
  const Rpc rpc{.path = "/containerd.services.images.v1.Images/Delete",
                .name = "images.delete",
                .object = name,
                .default_ms = sync ? 60'000 : 10'000};
  return transport().unary(call, rpc, request);
}

}  // namespace pouch::ctrd
