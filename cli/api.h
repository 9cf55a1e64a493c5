#pragma once

#include <json/value.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/error.h"
#include "pouch.h"

namespace pouch::cli {

/// The text of a document, without blanks.
std::string to_text(const Json::Value& document);
/// Throws Exit when the text is not JSON.
Json::Value to_json(std::string_view text);

/// The findings about an engine (CheckReport), whether it can be opened or not. `uri` "" takes the library's
/// default. Throws ApiError.
Json::Value check_engine(const std::string& uri);

/// Removes the root at an address; what is gone. Throws Exit.
Json::Value reset_root(const std::string& uri, const Json::Value& options);

/// The account that this host keeps for a registry. Throws ApiError.
std::optional<Json::Value> find_account(const std::string& registry);
void store_account(const std::string& registry, const Json::Value& account);
/// False: there was none.
bool erase_account(const std::string& registry);

/// A means to give up a call from another thread.
class Cancel {
 public:
  Cancel() : token_(pouch_cancel_new()) {}
  ~Cancel() { pouch_cancel_unref(token_); }
  Cancel(const Cancel&) = delete;
  Cancel& operator=(const Cancel&) = delete;
  void fire() { pouch_cancel_fire(token_); }
  [[nodiscard]] pouch_cancel_t* get() const { return token_; }

 private:
  pouch_cancel_t* token_;
};

/// A pouch_stream_t. All but cancel() and write()/close_write() from one thread; those two from another one.
class Stream {
 public:
  /// One frame, borrowed until the next call of next().
  struct Frame {
    uint32_t channel = 0;
    uint32_t lost = 0;  ///< frames dropped before this one
    std::string_view data;
  };

  explicit Stream(pouch_stream_t* stream) : stream_(stream, &pouch_stream_free) {}

  /// The next frame, or nothing at the end. Waits without limit. Throws ApiError.
  std::optional<Frame> next();
  /// Gives all bytes; false when the operation takes no more. `stop` ends the wait for room. Throws ApiError.
  bool write(std::string_view bytes, const std::atomic<bool>* stop = nullptr);
  void close_write();
  /// From any thread. Throws ApiError.
  void resize(uint32_t rows, uint32_t columns);
  /// Waits for the end; the result, null when there is none. Throws ApiError.
  Json::Value finish();
  void cancel() { pouch_stream_cancel(stream_.get()); }

 private:
  std::unique_ptr<pouch_stream_t, decltype(&pouch_stream_free)> stream_;
};

/// What pouch_container_run gives.
struct Started {
  std::string id;                     ///< "" when the container could not be created
  std::vector<std::string> warnings;  ///< of the creation
  std::optional<Stream> stream;       ///< absent in the background
  std::optional<ApiError> error;      ///< why the container was not created, or not started
};

/// A client of the library. Thread-safe.
class Client {
 public:
  /// `uri` "" takes the library's default. `log_level` is a POUCH_LOG_ level for stderr, 0 none. With
  /// `session` all that it makes goes with it.
  Client(const std::string& uri, uint32_t log_level, bool session);

  /// Calls throw ApiError. `document` is a body or null, `options` is an object or null.
  std::string call_text(const char* op, const std::vector<std::string>& ids, const Json::Value& options = {},
                        const Json::Value& document = {});
  Json::Value call(const char* op, const std::vector<std::string>& ids = {}, const Json::Value& options = {},
                   const Json::Value& document = {});
  Stream open(const char* op, const std::vector<std::string>& ids = {}, const Json::Value& options = {},
              const Json::Value& document = {});
  Started run(const Json::Value& config, const Json::Value& options, bool attach, Cancel& cancel);

  [[nodiscard]] std::string uri() const { return pouch_client_uri(client_.get()); }

 private:
  std::unique_ptr<pouch_client_t, decltype(&pouch_client_free)> client_;
};

}  // namespace pouch::cli
