#include "core/registry/http.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr int kMaxPollMs = 60'000;
constexpr long kBufferBytes = 256L << 10;
constexpr size_t kMaxHeaders = 200;

template <class T>
bool set(CURL* easy, CURLoption option, T value) {
  return net::curl().easy_setopt(easy, option, value) == CURLE_OK;
}

// One exchange on one handle. The callbacks are called through C code, where no exception may pass.
class Transfer {
 public:
  Transfer(net::CurlHandle& handle, const HttpRequest& request, const Call& call)
      : multi_(handle.multi.get()),
        easy_(handle.easy.get()),
        handle_(handle),
        request_(request),
        call_(call) {}
  ~Transfer() {
    if (added_) net::curl().multi_remove_handle(multi_, easy_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  Exchange run(const Transport& transport) {
    if (!set_up(transport)) return failed(Trouble::kOurs, internal_error("libcurl refused an option"));
    if (net::curl().multi_add_handle(multi_, easy_) != CURLM_OK) {
      return failed(Trouble::kOurs, internal_error("libcurl refused the request"));
    }
    added_ = true;
    const net::CancelLink link(call_.cancel, [multi = multi_] { net::curl().multi_wakeup(multi); });
    while (!ended_) {
      if (Status status = call_.check(); !status.is_ok()) return failed(Trouble::kOurs, std::move(status));
      int running = 0;
      net::curl().multi_perform(multi_, &running);
      read_messages();
      if (!ended_) wait();
    }
    return outcome();
  }

 private:
  bool set_up(const Transport& transport) {
    // A wish: a handle whose last request did not get to a connection keeps its buffer.
    static_cast<void>(set(easy_, CURLOPT_BUFFERSIZE, kBufferBytes));
    return set(easy_, CURLOPT_URL, request_.url.c_str()) && set(easy_, CURLOPT_NOSIGNAL, 1L) &&
           set(easy_, CURLOPT_ERRORBUFFER, error_.data()) &&
           set(easy_, CURLOPT_PROTOCOLS_STR, "http,https") &&
           // Without it who gives up waits for the thread that resolves a name.
           set(easy_, CURLOPT_QUICK_EXIT, 1L) &&
           set(easy_, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
           set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_ms)) &&
           set(easy_, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           set(easy_, CURLOPT_LOW_SPEED_TIME, static_cast<long>((request_.stall_ms + 999) / 1000)) &&
           set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header) && set(easy_, CURLOPT_HEADERDATA, this) &&
           set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body) && set(easy_, CURLOPT_WRITEDATA, this) &&
           handle_.end_connections_when_closed() && set_method() && set_transport(transport) && set_headers();
  }

  bool set_method() {
    if (request_.method == "HEAD") return set(easy_, CURLOPT_NOBODY, 1L);
    if (request_.upload) {
      static_cast<void>(set(easy_, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes));  // a wish, too
      return set(easy_, CURLOPT_UPLOAD, 1L) && set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) &&
             set(easy_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.upload->size)) &&
             set(easy_, CURLOPT_READFUNCTION, &Transfer::on_read) && set(easy_, CURLOPT_READDATA, this) &&
             set(easy_, CURLOPT_SEEKFUNCTION, &Transfer::on_seek) && set(easy_, CURLOPT_SEEKDATA, this);
    }
    if (request_.body) {
      return set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body->size())) &&
             set(easy_, CURLOPT_POSTFIELDS, request_.body->data()) &&
             set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    return request_.method == "GET" || set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }

  bool set_transport(const Transport& transport) {
    bool ok = set(easy_, CURLOPT_PROXY, transport.proxy.c_str()) &&
              set(easy_, CURLOPT_NOPROXY, "") &&  // that is settled; else it is the environment's
              set(easy_, CURLOPT_SSL_VERIFYPEER, transport.verify ? 1L : 0L) &&
              set(easy_, CURLOPT_SSL_VERIFYHOST, transport.verify ? 2L : 0L);
    if (!transport.ca_pem.empty()) {
      curl_blob blob{const_cast<char*>(transport.ca_pem.data()), transport.ca_pem.size(), CURL_BLOB_COPY};
      ok = ok && set(easy_, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (!transport.cert_file.empty()) {
      ok = ok && set(easy_, CURLOPT_SSLCERT, transport.cert_file.c_str()) &&
           set(easy_, CURLOPT_SSLKEY, transport.key_file.c_str());
    }
    return ok;
  }

  bool set_headers() {
    std::vector<std::string> lines = request_.headers;
    lines.emplace_back("Expect:");  // no pause before a body
    lines.emplace_back("User-Agent: pouch/" POUCH_VERSION);
    for (const std::string& line : lines) {
      curl_slist* const longer = net::curl().slist_append(headers_.get(), line.c_str());
      if (longer == nullptr) return false;
      static_cast<void>(headers_.release());
      headers_.reset(longer);
    }
    return set(easy_, CURLOPT_HTTPHEADER, headers_.get());
  }

  void wait() {
    const int left = call_.deadline.poll_timeout_ms();
    net::curl().multi_poll(multi_, nullptr, 0, left < 0 ? kMaxPollMs : std::min(left, kMaxPollMs), nullptr);
  }

  void read_messages() {
    int left = 0;
    while (const CURLMsg* message = net::curl().multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) ended_ = message->data.result;
    }
  }

  Exchange failed(Trouble trouble, Status status) {
    return {trouble, std::move(status), std::move(answer_), {}};
  }

  Exchange outcome() {
    if (!failure_.is_ok()) return failed(Trouble::kOurs, std::move(failure_));
    switch (*ended_) {
      case CURLE_OK:
        return failed(Trouble::kNone, {});
      case CURLE_COULDNT_CONNECT:
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
        return failed(Trouble::kUnreachable, unavailable(connect_text()));
      case CURLE_OPERATION_TIMEDOUT:
        if (!is_connected()) return failed(Trouble::kUnreachable, unavailable(late_text()));
        return failed(Trouble::kStalled,
                      unavailable("no bytes came for " + std::to_string(request_.stall_ms / 1000) + " s"));
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CERTPROBLEM:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_ISSUER_ERROR:
        return failed(Trouble::kTls, unavailable(error_text()));
      case CURLE_UNSUPPORTED_PROTOCOL:
      case CURLE_URL_MALFORMAT:
        return failed(Trouble::kOurs, unavailable(error_text()));
      default:
        return failed(Trouble::kBroken, unavailable(error_text()));
    }
  }

  // "SSL certificate problem: self-signed certificate" rather than what the code means in general.
  std::string error_text() const {
    if (error_[0] == '\0') return net::curl().easy_strerror(*ended_);
    return std::string(trim(error_.data()));
  }

  // With TLS only when that is made, too.
  bool is_connected() const {
    if (answer_.status != 0) return true;
    const bool is_tls = request_.url.starts_with("https://");
    curl_off_t connected = 0;
    net::curl().easy_getinfo(easy_, is_tls ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T,
                             &connected);
    return connected > 0;
  }

  std::string late_text() const {
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(), seconds.size(), "%.1f s", static_cast<double>(request_.connect_ms) / 1'000);
    return std::string("the connection was not made within ") + seconds.data();
  }

  std::string connect_text() const {
    if (*ended_ != CURLE_COULDNT_CONNECT) return "the name cannot be resolved";
    long error = 0;
    net::curl().easy_getinfo(easy_, CURLINFO_OS_ERRNO, &error);
    return error != 0 ? errno_status(static_cast<int>(error), "connect").message() : error_text();
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return transfer.take_header({data, size * count});
    } catch (const std::exception& thrown) {
      transfer.failure_ = internal_error(thrown.what());
      return 0;
    }
  }

  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return transfer.take_body({data, size * count});
    } catch (const std::exception& thrown) {
      transfer.failure_ = internal_error(thrown.what());
      return 0;
    }
  }

  static size_t on_read(char* buffer, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return transfer.give_body(buffer, size * count);
    } catch (const std::exception& thrown) {
      transfer.failure_ = internal_error(thrown.what());
      return CURL_READFUNC_ABORT;
    }
  }

  // Where a connection that was kept alive turns out to be dead, the body is sent again on another.
  static int on_seek(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self)->sent_ = offset;
    return CURL_SEEKFUNC_OK;
  }

  size_t give_body(char* buffer, size_t size) {
    const HttpUpload& upload = *request_.upload;
    size = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(size), upload.size - sent_));
    if (size == 0) return 0;
    Result<size_t> got = (*upload.source)(upload.offset + sent_, buffer, size);
    if (got.is_ok() && (*got == 0 || *got > size)) {
      got = Status(Code::kDataLoss,
                   "the source ends after " + std::to_string(upload.offset + sent_) + " bytes");
    }
    if (!got.is_ok()) {
      failure_ = got.status();
      return CURL_READFUNC_ABORT;
    }
    sent_ += static_cast<int64_t>(*got);
    return *got;
  }

  // "HTTP/1.1 200 OK" begins the head of an answer, of which proxies give several.
  size_t take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {
      answer_.headers.clear();
      const size_t space = line.find(' ');
      answer_.status = space == std::string_view::npos ? 0 : leading_number<int>(line.substr(space + 1));
      return line.size();
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || answer_.headers.size() >= kMaxHeaders) return line.size();
    std::string& value = answer_.headers[to_lower(line.substr(0, colon))];
    if (!value.empty()) value += ", ";
    value += trim(line.substr(colon + 1));
    return line.size();
  }

  size_t take_body(std::string_view bytes) {
    if (request_.sink && (answer_.status == 200 || answer_.status == 206)) {
      failure_ = request_.sink(answer_, bytes);
    } else if (answer_.body.size() + bytes.size() > request_.max_body) {
      failure_ = {Code::kResourceExhausted,
                  "the answer is longer than " + std::to_string(request_.max_body) + " bytes"};
    } else {
      answer_.body.append(bytes);
    }
    return failure_.is_ok() ? bytes.size() : 0;
  }

  CURLM* const multi_;
  CURL* const easy_;
  net::CurlHandle& handle_;
  const HttpRequest& request_;
  const Call& call_;
  std::unique_ptr<curl_slist, net::SlistDeleter> headers_;
  HttpAnswer answer_;
  Status failure_;
  std::optional<CURLcode> ended_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  int64_t sent_ = 0;  ///< of the upload, in bytes
  bool added_ = false;
};

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

Exchange http_exchange(net::HandlePool& pool, const Transport& transport, const HttpRequest& request,
                       const Call& call) {
  if (Status status = call.check(); !status.is_ok()) return {Trouble::kOurs, std::move(status), {}, {}};
  auto handle = pool.take();
  if (!handle.is_ok()) return {Trouble::kOurs, handle.status(), {}, {}};
  Exchange out = Transfer(**handle, request, call).run(transport);
  pool.give_back(std::move(*handle));
  out.proxy = without_account(transport.proxy);
  return out;
}

}  // namespace pouch::registry
