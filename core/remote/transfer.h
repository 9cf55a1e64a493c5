#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/net/curl_handle.h"
#include "core/remote/address.h"
#include "core/remote/answer.h"

namespace pouch::remote {

struct Request {
  std::string op;  ///< for messages
  std::string method;
  std::string target;                ///< path and query
  std::vector<std::string> headers;  ///< "Name: value"
  std::optional<std::string> body;   ///< JSON
};

/// Gives the bytes of an upload. nullopt: none yet; empty: the end; an error aborts the transfer.
using BodySource = std::function<Result<std::optional<std::string>>(size_t max)>;
/// Takes bytes of the answer's body; an error aborts the transfer. May block.
using BodySink = std::function<Status(std::string_view bytes)>;

/// One HTTP exchange. Driven by one thread at a time, which may change; abort() from any thread.
class Transfer {
 public:
  static Result<std::unique_ptr<Transfer>> begin(std::shared_ptr<net::HandlePool> pool,
                                                 const Address& address, Request request);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Sends the body in chunks from `source`; `ready_fd` is readable when it has something. Before the first
  /// drive.
  void upload(BodySource source, int ready_fd);
  /// Returns when the head has come (or, without one, the exchange has ended: an error).
  Status run_to_head(const Call& call);
  /// Returns when the exchange has ended. Without a sink the body is collected; see take_body().
  Status run_to_end(const Call& call);
  /// After an early error: sends nothing more, returns when the announced body has come or the call's time is
  /// up.
  void stop_upload_and_collect(const Call& call);
  /// From now on the body goes there, what has come before first.
  Status set_sink(BodySink sink);
  /// Makes a driving thread return Cancelled.
  void abort();

  const Head& head() const { return parser_.head(); }
  const std::string& op() const { return request_.op; }
  bool has_head() const { return parser_.is_complete(); }
  std::string take_body() { return std::move(body_); }
  /// A trailer's value, or "".
  std::string trailer(const std::string& name) const;

 private:
  Transfer(std::shared_ptr<net::HandlePool> pool, Address address, Request request)
      : pool_(std::move(pool)), address_(std::move(address)), request_(std::move(request)) {}

  Status set_up();
  Status add_headers(bool chunked);
  Status drive(const Call& call, const std::function<bool()>& done);
  void wait(const Call& call);
  void read_messages();
  Status ended_status() const;
  Status connect_error(CURLcode code) const;

  size_t take_header(std::string_view line);
  size_t take_bytes(std::string_view bytes);
  size_t give_bytes(char* data, size_t room);
  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static size_t on_upload(char* data, size_t size, size_t count, void* self);

  const std::shared_ptr<net::HandlePool> pool_;
  const Address address_;
  const Request request_;
  std::unique_ptr<net::CurlHandle> handle_;
  std::unique_ptr<curl_slist, net::SlistDeleter> headers_;
  bool added_ = false;

  HeadParser parser_;
  std::map<std::string, std::string> trailers_;
  std::string body_;
  BodySink sink_;
  BodySource source_;
  int source_fd_ = -1;
  bool upload_paused_ = false;
  bool upload_stopped_ = false;
  Status failure_;  ///< of a callback
  std::optional<CURLcode> ended_;
  std::atomic<bool> aborted_{false};
};

}  // namespace pouch::remote
