#include "core/registry/http.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <memory>
#include <utility>

#include "core/base/text.h"

namespace pouch::registry {
namespace {

constexpr int kMaxPollMs = 60'000;
// Together with the retries an unreachable registry is told within 10 s.
constexpr long kConnectMs = 4'000;
constexpr long kMaxRedirects = 10;
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
           set(easy_, CURLOPT_PROTOCOLS_STR, "http,https") &&
           set(easy_, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") && set(easy_, CURLOPT_FOLLOWLOCATION, 1L) &&
           set(easy_, CURLOPT_MAXREDIRS, kMaxRedirects) &&
           set(easy_, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
           set(easy_, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs) && set(easy_, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           set(easy_, CURLOPT_LOW_SPEED_TIME, static_cast<long>((request_.stall_ms + 999) / 1000)) &&
           set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header) && set(easy_, CURLOPT_HEADERDATA, this) &&
           set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body) && set(easy_, CURLOPT_WRITEDATA, this) &&
           handle_.end_connections_when_closed() && set_method() && set_transport(transport) && set_headers();
  }

  bool set_method() {
    if (request_.method == "HEAD") return set(easy_, CURLOPT_NOBODY, 1L);
    if (request_.body) {
      return set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body->size())) &&
             set(easy_, CURLOPT_POSTFIELDS, request_.body->data()) &&
             set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    return request_.method == "GET" || set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }

  bool set_transport(const Transport& transport) {
    bool ok = set(easy_, CURLOPT_PROXY, transport.proxy.c_str()) &&
              set(easy_, CURLOPT_NOPROXY, transport.no_proxy.c_str()) &&
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

  Exchange failed(Trouble trouble, Status status) { return {trouble, std::move(status), std::move(answer_)}; }

  Exchange outcome() {
    if (!failure_.is_ok()) return failed(Trouble::kOurs, std::move(failure_));
    const std::string text = net::curl().easy_strerror(*ended_);
    switch (*ended_) {
      case CURLE_OK:
        return failed(Trouble::kNone, {});
      case CURLE_COULDNT_CONNECT:
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
        return failed(Trouble::kUnreachable, unavailable(connect_text()));
      case CURLE_OPERATION_TIMEDOUT:
        if (answer_.status == 0 && !is_connected()) {
          return failed(Trouble::kUnreachable, unavailable("the connection was not made within " +
                                                           std::to_string(kConnectMs / 1000) + " s"));
        }
        return failed(Trouble::kBroken,
                      unavailable("no bytes came for " + std::to_string(request_.stall_ms / 1000) + " s"));
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CERTPROBLEM:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_ISSUER_ERROR:
        return failed(Trouble::kTls, unavailable(text));
      case CURLE_TOO_MANY_REDIRECTS:
      case CURLE_UNSUPPORTED_PROTOCOL:
      case CURLE_URL_MALFORMAT:
        return failed(Trouble::kOurs, unavailable(text));
      default:
        return failed(Trouble::kBroken, unavailable(text));
    }
  }

  bool is_connected() const {
    curl_off_t connected = 0;
    net::curl().easy_getinfo(easy_, CURLINFO_CONNECT_TIME_T, &connected);
    return connected > 0;
  }

  std::string connect_text() const {
    if (*ended_ != CURLE_COULDNT_CONNECT) return "the name cannot be resolved";
    long error = 0;
    net::curl().easy_getinfo(easy_, CURLINFO_OS_ERRNO, &error);
    return error != 0 ? errno_status(static_cast<int>(error), "connect").message()
                      : std::string(net::curl().easy_strerror(*ended_));
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

  // "HTTP/1.1 200 OK" begins the head of an answer, of which redirects and proxies give several.
  size_t take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {
      answer_.headers.clear();
      answer_.status = 0;
      const size_t space = line.find(' ');
      if (space != std::string_view::npos) {
        std::from_chars(line.data() + space + 1, line.data() + line.size(), answer_.status);
      }
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
  bool added_ = false;
};

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

Exchange http_exchange(net::HandlePool& pool, const Transport& transport, const HttpRequest& request,
                       const Call& call) {
  if (Status status = call.check(); !status.is_ok()) return {Trouble::kOurs, std::move(status), {}};
  auto handle = pool.take();
  if (!handle.is_ok()) return {Trouble::kOurs, handle.status(), {}};
  Exchange out = Transfer(**handle, request, call).run(transport);
  pool.give_back(std::move(*handle));
  return out;
}

}  // namespace pouch::registry
