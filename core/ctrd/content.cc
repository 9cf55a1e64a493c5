#include "core/ctrd/content.h"

#include <algorithm>
#include <utility>

#include "content.pb.h"
#include "core/base/executor.h"
#include "core/base/text.h"
#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::content::v1;

constexpr size_t kPieceBytes = 1024 * 1024;
constexpr int64_t kPieceMs = 60'000;  // a piece may wait for a slow disk
constexpr int64_t kMaxLockPauseMs = 100;
constexpr std::string_view kWritePath = "/containerd.services.content.v1.Content/Write";

ContentInfo info_from(const pb::Info& message) {
  return {.digest = Digest(message.digest()),
          .size = message.size(),
          .created_at = timestamp_from(message.created_at()),
          .updated_at = timestamp_from(message.updated_at()),
          .labels = labels_from(message.labels())};
}

IngestStatus status_from(const pb::Status& message) {
  return {.ref = message.ref(),
          .offset = message.offset(),
          .total = message.total(),
          .expected = Digest(message.expected()),
          .started_at = timestamp_from(message.started_at()),
          .updated_at = timestamp_from(message.updated_at())};
}

}  // namespace

// ---- BlobWriter ----

struct BlobWriter::State {
  std::shared_ptr<Transport> transport;  // before the stream, which must end before the channel
  std::string ref;
  std::unique_ptr<Stream> stream;  ///< null: the blob exists or the ingest has ended
  bool exists = false;
  bool committed = false;
  int64_t offset = 0;

  Status exchange(const Call& call, const pb::WriteContentRequest& request,
                  pb::WriteContentResponse& response) {
    POUCH_RETURN_IF_ERROR(stream->write(call, request));
    POUCH_ASSIGN_OR_RETURN(const bool more, stream->read(call, response));
    if (more) return {};
    return unavailable("containerd: content.write on " + quote(ref) + ": the stream ended early");
  }
};

BlobWriter::BlobWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlobWriter::~BlobWriter() = default;
BlobWriter::BlobWriter(BlobWriter&&) noexcept = default;
BlobWriter& BlobWriter::operator=(BlobWriter&&) noexcept = default;

bool BlobWriter::exists() const {
  return state_->exists;
}

int64_t BlobWriter::offset() const {
  return state_->offset;
}

Status BlobWriter::write(const Call& call, std::string_view bytes) {
  if (state_->exists) return {};
  if (!state_->stream)
    return {Code::kClosed, "containerd: content.write on " + quote(state_->ref) + ": ended"};
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPieceBytes);
    pb::WriteContentRequest request;
    request.set_action(pb::WRITE);
    request.set_offset(state_->offset);
    request.set_data(piece.data(), piece.size());
    pb::WriteContentResponse response;
    POUCH_RETURN_IF_ERROR(state_->exchange(with_default_deadline(call, kPieceMs), request, response));
    state_->offset = response.offset();
    bytes.remove_prefix(piece.size());
  }
  return {};
}

Status BlobWriter::commit(const Call& call, int64_t size, const Digest& expected, const Labels& labels) {
  if (!state_->exists) {
    if (!state_->stream)
      return {Code::kClosed, "containerd: content.commit on " + quote(state_->ref) + ": ended"};
    pb::WriteContentRequest request;
    request.set_action(pb::COMMIT);
    request.set_offset(state_->offset);  // 0 would truncate what was written
    request.set_total(size);
    request.set_expected(expected.str());
    fill_labels(labels, *request.mutable_labels());
    pb::WriteContentResponse response;
    const Status status = state_->exchange(with_default_deadline(call, kPieceMs), request, response);
    state_->stream.reset();
    if (status.is_ok() || status.code() != Code::kAlreadyExists) return status;
    state_->exists = true;
  }
  if (labels.empty()) return {};
  return Content(state_->transport).update_labels(call, expected, labels).status();
}

// ---- Content ----

Result<BlobWriter> Content::open_writer(const Call& call, const std::string& ref, int64_t total,
                                        const Digest& expected) const {
  const Call bounded = with_default_deadline(call, 10'000);
  const Rpc rpc{.path = kWritePath, .name = "content.write", .object = ref};
  pb::WriteContentRequest request;
  request.set_action(pb::STAT);
  request.set_ref(ref);
  request.set_total(total);
  request.set_expected(expected.str());
  for (int64_t pause_ms = 5;; pause_ms = std::min(pause_ms * 2, kMaxLockPauseMs)) {
    auto state = std::make_unique<BlobWriter::State>();
    state->transport = shared_transport();
    state->ref = ref;
    state->stream = transport().open_stream(rpc);
    pb::WriteContentResponse response;
    const Status status = state->exchange(bounded, request, response);
    state->exists = status.code() == Code::kAlreadyExists;
    if (status.is_ok() || state->exists) {
      state->offset = state->exists ? total : response.offset();
      if (state->exists) state->stream.reset();
      return BlobWriter(std::move(state));
    }
    // Unavailable while connected: another writer holds the ref.
    if (status.code() != Code::kUnavailable || !transport().is_connected()) return status;
    const Status slept = pause(bounded, pause_ms);
    if (slept.code() == Code::kCancelled) return slept.prefix("containerd: content.write on " + quote(ref));
    if (!slept.is_ok()) return status;  // "locked" says more than "deadline"
  }
}

Status Content::write_blob(const Call& call, const std::string& ref, const Descriptor& descriptor,
                           std::string_view bytes, const Labels& labels) const {
  POUCH_ASSIGN_OR_RETURN(BlobWriter writer, open_writer(call, ref, descriptor.size, descriptor.digest));
  if (!writer.exists()) {
    const auto done = static_cast<size_t>(writer.offset());
    if (done > bytes.size()) {
      return conflict("containerd: content.write on " + quote(ref) + ": the ingest holds " +
                      std::to_string(done) + " bytes of a blob of " + std::to_string(bytes.size()) +
                      ": abort it first");
    }
    POUCH_RETURN_IF_ERROR(writer.write(call, bytes.substr(done)));
  }
  return writer.commit(call, descriptor.size, descriptor.digest, labels);
}

Result<ContentInfo> Content::info(const Call& call, const Digest& digest) const {
  pb::InfoRequest request;
  request.set_digest(digest.str());
  pb::InfoResponse response;
  const Rpc rpc{
      .path = "/containerd.services.content.v1.Content/Info", .name = "content.info", .object = digest.str()};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return info_from(response.info());
}

Result<ContentInfo> Content::update_labels(const Call& call, const Digest& digest,
                                           const Labels& labels) const {
  if (labels.empty()) return info(call, digest);  // an empty mask would replace all labels
  pb::UpdateRequest request;
  request.mutable_info()->set_digest(digest.str());
  fill_labels(labels, *request.mutable_info()->mutable_labels());
  mask_labels(labels, *request.mutable_update_mask());
  pb::UpdateResponse response;
  const Rpc rpc{.path = "/containerd.services.content.v1.Content/Update",
                .name = "content.update",
                .object = digest.str()};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return info_from(response.info());
}

Result<std::vector<ContentInfo>> Content::list(const Call& call, const Filters& filters) const {
  pb::ListContentRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListContentResponse response;
  std::vector<ContentInfo> infos;
  const Rpc rpc{.path = "/containerd.services.content.v1.Content/List", .name = "content.list"};
  POUCH_RETURN_IF_ERROR(transport().server_stream(call, rpc, request, response, [&] {
    for (const pb::Info& message : response.info()) infos.push_back(info_from(message));
    return Status();
  }));
  return infos;
}

Status Content::remove(const Call& call, const Digest& digest) const {
  pb::DeleteContentRequest request;
  request.set_digest(digest.str());
  const Rpc rpc{.path = "/containerd.services.content.v1.Content/Delete",
                .name = "content.delete",
                .object = digest.str()};
  return transport().unary(call, rpc, request);
}

Result<IngestStatus> Content::status(const Call& call, const std::string& ref) const {
  pb::StatusRequest request;
  request.set_ref(ref);
  pb::StatusResponse response;
  const Rpc rpc{
      .path = "/containerd.services.content.v1.Content/Status", .name = "content.status", .object = ref};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return status_from(response.status());
}

Result<std::vector<IngestStatus>> Content::list_ingests(const Call& call, const Filters& filters) const {
  pb::ListStatusesRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListStatusesResponse response;
  const Rpc rpc{.path = "/containerd.services.content.v1.Content/ListStatuses", .name = "content.statuses"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<IngestStatus> statuses;
  for (const pb::Status& message : response.statuses()) statuses.push_back(status_from(message));
  return statuses;
}

Status Content::abort(const Call& call, const std::string& ref) const {
  pb::AbortRequest request;
  request.set_ref(ref);
  const Rpc rpc{
      .path = "/containerd.services.content.v1.Content/Abort", .name = "content.abort", .object = ref};
  return transport().unary(call, rpc, request);
}

Status Content::read(const Call& call, const Digest& digest, int64_t offset, int64_t size,
                     const Sink& sink) const {
  pb::ReadContentRequest request;
  request.set_digest(digest.str());
  request.set_offset(offset);
  request.set_size(size);
  pb::ReadContentResponse response;
  const Rpc rpc{.path = "/containerd.services.content.v1.Content/Read",
                .name = "content.read",
                .object = digest.str(),
                .default_ms = 0};
  return transport().server_stream(call, rpc, request, response, [&] { return sink(response.data()); });
}

Result<std::string> Content::read_all(const Call& call, const Digest& digest, size_t limit) const {
  std::string bytes;
  const Call bounded = with_default_deadline(call, kPieceMs);
  POUCH_RETURN_IF_ERROR(read(bounded, digest, 0, 0, [&](std::string_view piece) -> Status {
    if (piece.size() > limit - bytes.size()) {
      return {Code::kResourceExhausted, "containerd: content.read on " + quote(digest.str()) +
                                            ": more than " + std::to_string(limit) + " bytes"};
    }
    bytes += piece;
    return {};
  }));
  return bytes;
}

}  // namespace pouch::ctrd
