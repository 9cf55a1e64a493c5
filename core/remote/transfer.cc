#include "core/remote/transfer.h"

#include <algorithm>
#include <cstring>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

// How long one poll waits at most; wake-ups come through the multi handle.
constexpr int kMaxPollMs = 60'000;
constexpr long kUploadBufferBytes = 256L << 10;
constexpr long kDownloadBufferBytes = 128L << 10;

template <class T>
bool set(CURL* easy, CURLoption option, T value) {
  return net::curl().easy_setopt(easy, option, value) == CURLE_OK;
}

}  // namespace

Result<std::unique_ptr<Transfer>> Transfer::begin(std::shared_ptr<net::HandlePool> pool,
                                                  const Address& address, Request request) {
  std::unique_ptr<Transfer> transfer(new Transfer(std::move(pool), address, std::move(request)));
  POUCH_ASSIGN_OR_RETURN(transfer->handle_, transfer->pool_->take());
  POUCH_RETURN_IF_ERROR(transfer->set_up());
  return transfer;
}

Transfer::~Transfer() {
  if (!handle_) return;
  // Removing a transfer that has not ended closes its connection.
  if (added_) net::curl().multi_remove_handle(handle_->multi.get(), handle_->easy.get());
  pool_->give_back(std::move(handle_));
}

Status Transfer::set_up() {
  CURL* const easy = handle_->easy.get();
  const std::string url = "http://" + address_.authority + request_.target;
  // A wish: a handle whose last request did not get to a connection keeps its buffer.
  static_cast<void>(set(easy, CURLOPT_BUFFERSIZE, kDownloadBufferBytes));
  bool ok = set(easy, CURLOPT_URL, url.c_str()) &&
            set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) && set(easy, CURLOPT_NOSIGNAL, 1L) &&
            set(easy, CURLOPT_PATH_AS_IS, 1L) && set(easy, CURLOPT_PROTOCOLS_STR, "http") &&
            set(easy, CURLOPT_PROXY, "") && set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
            set(easy, CURLOPT_TCP_NODELAY, 1L) && set(easy, CURLOPT_TCP_KEEPALIVE, 1L) &&
            set(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header) && set(easy, CURLOPT_HEADERDATA, this) &&
            set(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body) && set(easy, CURLOPT_WRITEDATA, this) &&
            handle_->end_connections_when_closed();
  if (!address_.socket.empty()) ok = ok && set(easy, CURLOPT_UNIX_SOCKET_PATH, address_.socket.c_str());
  if (request_.method == "HEAD") ok = ok && set(easy, CURLOPT_NOBODY, 1L);
  if (request_.body) {
    ok = ok && set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body->size())) &&
         set(easy, CURLOPT_POSTFIELDS, request_.body->data());
  } else if (request_.method == "POST") {
    ok = ok && set(easy, CURLOPT_POSTFIELDSIZE, 0L) && set(easy, CURLOPT_POSTFIELDS, "");
  }
  if (!ok) return internal_error(request_.op + ": libcurl refused an option");
  return add_headers(false);
}

Status Transfer::add_headers(bool chunked) {
  std::vector<std::string> lines = request_.headers;
  lines.emplace_back("Expect:");  // no pause before a body
  lines.emplace_back("Accept:");
  lines.emplace_back("User-Agent: libpouch/" POUCH_VERSION);
  if (chunked) {
    lines.emplace_back("Content-Type: application/x-tar");
    lines.emplace_back("Transfer-Encoding: chunked");
  } else {
    lines.emplace_back(request_.body ? "Content-Type: application/json" : "Content-Type:");
  }
  headers_.reset();
  for (const std::string& line : lines) {
    curl_slist* const longer = net::curl().slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) return {Code::kOutOfMemory, request_.op + ": out of memory"};
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }
  if (!set(handle_->easy.get(), CURLOPT_HTTPHEADER, headers_.get())) {
    return internal_error(request_.op + ": libcurl refused a header");
  }
  return {};
}

void Transfer::upload(BodySource source, int ready_fd) {
  source_ = std::move(source);
  source_fd_ = ready_fd;
  CURL* const easy = handle_->easy.get();
  set(easy, CURLOPT_POSTFIELDS, static_cast<char*>(nullptr));
  set(easy, CURLOPT_POST, 1L);
  set(easy, CURLOPT_POSTFIELDSIZE, -1L);
  set(easy, CURLOPT_READFUNCTION, &Transfer::on_upload);
  set(easy, CURLOPT_READDATA, this);
  set(easy, CURLOPT_UPLOAD_BUFFERSIZE, kUploadBufferBytes);
  add_headers(true).ignore();  // out of memory shows as a refused request
}

Status Transfer::run_to_head(const Call& call) {
  POUCH_RETURN_IF_ERROR(drive(call, [this] { return parser_.is_complete(); }));
  return parser_.is_complete() ? Status() : ended_status();
}

Status Transfer::run_to_end(const Call& call) {
  POUCH_RETURN_IF_ERROR(drive(call, [] { return false; }));
  return ended_status();
}

void Transfer::stop_upload_and_collect(const Call& call) {
  upload_stopped_ = true;
  const auto announced = leading_number<size_t>(head().header("content-length"), kMaxBodyBytes);
  // libcurl does not see the end of an answer whose request is not at its end.
  drive(call, [&] { return body_.size() >= announced; }).ignore();
}

Status Transfer::drive(const Call& call, const std::function<bool()>& done) {
  CURLM* const multi = handle_->multi.get();
  const net::CancelLink link(call.cancel, [multi] { net::curl().multi_wakeup(multi); });
  if (!added_) {
    if (net::curl().multi_add_handle(multi, handle_->easy.get()) != CURLM_OK) {
      return internal_error(request_.op + ": libcurl refused the request");
    }
    added_ = true;
  }
  while (true) {
    if (!ended_) {
      int running = 0;
      net::curl().multi_perform(multi, &running);
      read_messages();
    }
    if (!failure_.is_ok()) return failure_;
    if (ended_ || done()) return {};
    if (aborted_.load()) return {Code::kCancelled, request_.op + ": given up"};
    if (Status status = call.check(); !status.is_ok()) return status.prefix(request_.op);
    wait(call);
  }
}

void Transfer::wait(const Call& call) {
  const int left = call.deadline.poll_timeout_ms();
  const int timeout = left < 0 ? kMaxPollMs : std::min(left, kMaxPollMs);
  curl_waitfd source{source_fd_, CURL_WAIT_POLLIN, 0};
  const bool watch = upload_paused_ && !upload_stopped_ && source_fd_ >= 0;
  net::curl().multi_poll(handle_->multi.get(), watch ? &source : nullptr, watch ? 1 : 0, timeout, nullptr);
  if (watch && source.revents != 0) {
    upload_paused_ = false;
    net::curl().easy_pause(handle_->easy.get(), CURLPAUSE_CONT);
  }
}

void Transfer::read_messages() {
  int left = 0;
  while (const CURLMsg* message = net::curl().multi_info_read(handle_->multi.get(), &left)) {
    if (message->msg == CURLMSG_DONE) ended_ = message->data.result;
  }
}

Status Transfer::set_sink(BodySink sink) {
  sink_ = std::move(sink);
  return body_.empty() ? Status() : sink_(std::exchange(body_, {}));
}

void Transfer::abort() {
  aborted_.store(true);
  net::curl().multi_wakeup(handle_->multi.get());
}

std::string Transfer::trailer(const std::string& name) const {
  const auto at = trailers_.find(name);
  return at == trailers_.end() ? "" : at->second;
}

Status Transfer::ended_status() const {
  if (!failure_.is_ok()) return failure_;
  if (!ended_ || *ended_ == CURLE_OK) {
    if (parser_.is_complete()) return {};
    return unavailable(request_.op + ": " + address_.uri + " closed the connection without an answer");
  }
  return connect_error(*ended_);
}

Status Transfer::connect_error(CURLcode code) const {
  const std::string what = request_.op + ": ";
  long os_error = 0;
  net::curl().easy_getinfo(handle_->easy.get(), CURLINFO_OS_ERRNO, &os_error);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return address_.connect_error(
          request_.op, static_cast<int>(os_error),
          os_error != 0 ? std::strerror(static_cast<int>(os_error)) : net::curl().easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
      return unavailable(what + "connect to " + address_.uri + ": the name cannot be resolved");
    case CURLE_OUT_OF_MEMORY:  // also what libcurl calls a header that is too long
      return {Code::kOutOfMemory, what + "out of memory"};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return unavailable(what + "the connection to " + address_.uri +
                         " broke: " + net::curl().easy_strerror(code));
    default:
      return {Code::kDataLoss, what + "talk to " + address_.uri + ": " + net::curl().easy_strerror(code)};
  }
}

// The callbacks are called through C code, where no exception may pass.

size_t Transfer::on_header(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    return transfer.take_header({data, size * count});
  } catch (const std::exception& thrown) {
    transfer.failure_ = internal_error(transfer.request_.op + ": " + thrown.what());
    return 0;
  }
}

size_t Transfer::on_body(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    return transfer.take_bytes({data, size * count});
  } catch (const std::exception& thrown) {
    transfer.failure_ = internal_error(transfer.request_.op + ": " + thrown.what());
    return 0;
  }
}

size_t Transfer::on_upload(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    return transfer.give_bytes(data, size * count);
  } catch (const std::exception& thrown) {
    transfer.failure_ = internal_error(transfer.request_.op + ": " + thrown.what());
    return CURL_READFUNC_ABORT;
  }
}

size_t Transfer::take_header(std::string_view line) {
  if (parser_.is_complete()) {
    if (const size_t colon = line.find(':'); colon != std::string_view::npos && trailers_.size() < 16) {
      trailers_[to_lower(line.substr(0, colon))] = std::string(trim(line.substr(colon + 1)));
    }
    return line.size();
  }
  failure_ = parser_.feed_line(line).prefix(request_.op);
  return failure_.is_ok() ? line.size() : 0;
}

size_t Transfer::take_bytes(std::string_view bytes) {
  if (sink_) {
    failure_ = sink_(bytes);
  } else if (body_.size() + bytes.size() > kMaxBodyBytes) {
    failure_ = {Code::kResourceExhausted, request_.op + ": the server's answer is longer than 64 MiB"};
  } else {
    body_.append(bytes);
  }
  return failure_.is_ok() ? bytes.size() : 0;
}

size_t Transfer::give_bytes(char* data, size_t room) {
  if (upload_stopped_) return CURL_READFUNC_PAUSE;
  Result<std::optional<std::string>> piece = source_(room);
  if (!piece.is_ok()) {
    failure_ = piece.status();
    return CURL_READFUNC_ABORT;
  }
  if (!*piece) {
    upload_paused_ = true;
    return CURL_READFUNC_PAUSE;
  }
  return (*piece)->copy(data, room);
}

}  // namespace pouch::remote
