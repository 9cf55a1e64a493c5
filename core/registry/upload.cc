#include "core/registry/upload.h"

#include <algorithm>
#include <utility>

#include "core/base/executor.h"
#include "core/base/number.h"
#include "core/registry/retry.h"
#include "core/registry/retrying.h"

namespace pouch::registry {
namespace {

constexpr int kFruitless = 5;            // attempts in a row that brought nothing
constexpr int64_t kCancelMs = 2'000;     // for a registry that may be gone
constexpr int64_t kCommitPatience = 10;  // a registry compares the digest before it answers

HttpRequest plain_request(const char* method) {
  HttpRequest request;
  request.method = method;
  if (request.method != "GET") request.body = "";
  return request;
}

bool is_busy(int status) {
  return status == 408 || status == 429 || status >= 500;
}

}  // namespace

std::optional<int64_t> uploaded_of(std::string_view range) {
  if (range.starts_with("bytes=")) range.remove_prefix(6);
  if (!range.starts_with("0-")) return std::nullopt;
  const auto last = whole_number<int64_t>(range.substr(2));
  if (!last || *last < 0) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

Status Upload::run() {
  int fruitless = 0;
  int64_t farthest = 0;
  Next next = Next::kGoOn;
  while ((next = attempt()) == Next::kRetry) {
    fruitless = at_ > farthest ? 0 : fruitless + 1;
    farthest = std::max(farthest, at_);
    if (fruitless >= kFruitless || wait_ms_ > kLongestRetryAfterMs) break;
    status_ = pause(call_, wait_ms_ + backoff_ms(fruitless + 2));
    if (!status_.is_ok()) break;
  }
  if (next == Next::kDone) return {};
  cancel();
  return status_.prefix("upload blob " + digest_.str());
}

Upload::Next Upload::attempt() {
  wait_ms_ = 0;
  Next next = Next::kGoOn;
  while (next == Next::kGoOn) {
    if (location_.empty()) {
      next = begin();
    } else if (is_in_doubt_) {
      next = find_out();
    } else {
      next = at_ < size_ ? send_piece() : commit();
    }
  }
  return next;
}

Upload::Next Upload::begin() {
  const auto answer =
      session_.ask_registry(call_, session_.path() + "/blobs/uploads/", plain_request("POST"));
  if (!answer.is_ok()) {
    status_ = answer.status();
    return Next::kFailed;
  }
  if (answer->status != 202) return refused(*answer);
  if (!take_location(*answer)) {
    status_ = unavailable("the registry does not say where");
    return Next::kFailed;
  }
  least_piece_ = leading_number(answer->header("oci-chunk-min-length"), least_piece_);
  return Next::kGoOn;
}

// How much arrived of what was cut off. A registry that cannot tell gets all of it again.
Upload::Next Upload::find_out() {
  Trouble trouble = Trouble::kNone;
  const auto answer = session_.ask_registry(call_, location_, plain_request("GET"), &trouble);
  if (!answer.is_ok()) return troubled(trouble, answer.status());
  const std::optional<int64_t> there = uploaded_of(answer->header("range"));
  if (answer->status / 100 == 2 && there && *there <= size_) {
    take_location(*answer);
    at_ = *there;
    is_in_doubt_ = false;
    return Next::kGoOn;
  }
  return taken_back(*answer);
}

Upload::Next Upload::send_piece() {
  const int64_t piece = piece_size();
  HttpRequest request;
  request.method = "PATCH";
  request.headers = {"Content-Type: application/octet-stream"};
  // As Docker's client, which sends all at once, does without it.
  if (piece < size_)
    request.headers.push_back("Content-Range: " + std::to_string(at_) + "-" +
                              std::to_string(at_ + piece - 1));
  request.upload = HttpUpload{&source_, at_, piece};
  Trouble trouble = Trouble::kNone;
  const auto answer = session_.ask_registry(call_, location_, request, &trouble);
  if (!answer.is_ok()) return troubled(trouble, answer.status());
  if (answer->status / 100 == 2) return take_piece(*answer, piece);
  if (answer->status == 404) return taken_back(*answer);
  if (answer->status != 416 && !is_busy(answer->status)) return refused(*answer);
  // To ask how much arrived would use up what a busy registry allows, each time, and nothing did.
  is_in_doubt_ = answer->status != 429;
  status_ = session_.error_of(*answer, Action::kPush);
  wait_ms_ = retry_after_ms(answer->header("retry-after"), Timestamp::now()).value_or(0);
  return Next::kRetry;
}

Upload::Next Upload::take_piece(const HttpAnswer& answer, int64_t piece) {
  take_location(answer);
  const int64_t there = uploaded_of(answer.header("range")).value_or(at_ + piece);
  if (there == at_ + piece || there == 0) {
    at_ += piece;
    return Next::kGoOn;
  }
  status_ = unavailable("the registry has " + std::to_string(there) + " bytes after " +
                        std::to_string(at_ + piece) + " were sent");
  if (there > at_ + piece) {
    start_over();
  } else {
    at_ = there;
  }
  return Next::kRetry;
}

Upload::Next Upload::commit() {
  HttpRequest request = plain_request("PUT");
  request.headers = {"Content-Type: application/octet-stream"};
  request.stall_ms = session_.settings().stall_ms * kCommitPatience;
  is_committing_ = true;
  Trouble trouble = Trouble::kNone;
  const auto answer =
      session_.ask_registry(call_, with_parameter(location_, "digest", digest_.str()), request, &trouble);
  if (!answer.is_ok()) return troubled(trouble, answer.status());
  if (answer->status == 404) return taken_back(*answer);
  if (answer->status / 100 != 2) return refused(*answer);
  const std::string told = answer->header("docker-content-digest");
  if (is_digest(told) && told != digest_.str()) {
    status_ = {Code::kDataLoss, "the registry says it has the digest " + told};
    return Next::kFailed;
  }
  location_.clear();
  return Next::kDone;
}

// The registry does not know the upload: it forgot it, or has finished it and the answer was lost.
Upload::Next Upload::taken_back(const HttpAnswer& answer) {
  status_ = session_.error_of(answer, Action::kPush);
  start_over();
  if (!is_committing_) return Next::kRetry;
  is_committing_ = false;
  const auto there =
      session_.ask_registry(call_, session_.path() + "/blobs/" + digest_.str(), plain_request("HEAD"));
  return there.is_ok() && there->status == 200 ? Next::kDone : Next::kRetry;
}

Upload::Next Upload::troubled(Trouble trouble, Status status) {
  status_ = std::move(status);
  is_in_doubt_ = true;
  const bool may_pass =
      trouble == Trouble::kBroken || trouble == Trouble::kStalled || trouble == Trouble::kUnreachable;
  return may_pass ? Next::kRetry : Next::kFailed;
}

Upload::Next Upload::refused(const HttpAnswer& answer) {
  status_ = session_.error_of(answer, Action::kPush);
  const std::string code = error_code_of(answer);
  if (code == "DIGEST_INVALID" || code == "SIZE_INVALID") status_ = {Code::kDataLoss, status_.message()};
  return Next::kFailed;
}

void Upload::start_over() {
  location_.clear();
  is_in_doubt_ = false;
  at_ = 0;
}

// Whatever became of the call; a registry removes such uploads itself, in time.
void Upload::cancel() {
  if (location_.empty()) return;
  Call call;
  call.deadline = Deadline::after_ms(kCancelMs);
  session_.ask_registry(call, location_, plain_request("DELETE")).status().ignore();
}

bool Upload::take_location(const HttpAnswer& answer) {
  const std::optional<Url> here = parse_url(answer.url);
  const auto url = here ? resolve_location(*here, answer.header("location")) : std::nullopt;
  if (url) location_ = url->str();
  return url.has_value();
}

int64_t Upload::piece_size() const {
  const int64_t wanted = std::max({session_.settings().chunk_bytes, least_piece_, int64_t{1}});
  return std::min(wanted, size_ - at_);
}

}  // namespace pouch::registry
