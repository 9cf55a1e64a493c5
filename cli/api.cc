#include "cli/api.h"

#include <json/reader.h>
#include <json/writer.h>

namespace pouch::cli {
namespace {

// How long a writer waits for room before it looks whether it is still wanted.
constexpr int64_t kWriteMs = 100;

class Error {
 public:
  ~Error() { pouch_error_free(error_); }
  Error() = default;
  Error(const Error&) = delete;
  Error& operator=(const Error&) = delete;
  pouch_error_t** out() { return &error_; }

  [[nodiscard]] ApiError to_exception(pouch_status_t status) const {
    const std::string message = pouch_error_message(error_);
    return {status, message.empty() ? pouch_status_name(status) : message};
  }
  void check(pouch_status_t status) const {
    if (status < 0) throw to_exception(status);
  }

 private:
  pouch_error_t* error_ = nullptr;
};

class Buffer {
 public:
  ~Buffer() { pouch_buf_free(&buffer_); }
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  pouch_buf_t* out() { return &buffer_; }
  [[nodiscard]] std::string_view text() const {
    return buffer_.data == nullptr ? std::string_view() : std::string_view(buffer_.data, buffer_.size);
  }
  [[nodiscard]] Json::Value json() const { return text().empty() ? Json::Value() : to_json(text()); }

 private:
  pouch_buf_t buffer_ = POUCH_BUF_INIT;
};

// A document as the library wants it: NULL for null. Holds the text.
class Text {
 public:
  explicit Text(const Json::Value& document) : text_(document.isNull() ? "" : to_text(document)) {}
  [[nodiscard]] const char* get() const { return text_.empty() ? nullptr : text_.c_str(); }

 private:
  std::string text_;
};

std::vector<const char*> pointers(const std::vector<std::string>& ids) {
  std::vector<const char*> out;
  out.reserve(ids.size());
  for (const std::string& id : ids) out.push_back(id.c_str());
  return out;
}

pouch_client_t* open_client(const std::string& uri, uint32_t log_level, bool session) {
  pouch_client_options_t options = POUCH_CLIENT_OPTIONS_INIT;
  options.log_level = log_level;
  options.session = session ? 1 : 0;
  pouch_client_t* client = nullptr;
  Error error;
  error.check(pouch_client_open(uri.c_str(), &options, &client, error.out()));
  return client;
}

}  // namespace

std::string to_text(const Json::Value& document) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, document);
}

Json::Value to_json(std::string_view text) {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);
  builder["strictRoot"] = false;
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  Json::Value document;
  std::string problem;
  if (!reader->parse(text.data(), text.data() + text.size(), &document, &problem)) {
    throw Exit(kExitError, "Error: the answer is not JSON: " + problem);
  }
  return document;
}

Json::Value check_engine(const std::string& uri) {
  Buffer result;
  Error error;
  error.check(pouch_check(uri.c_str(), nullptr, nullptr, result.out(), error.out()));
  return result.json();
}

Json::Value reset_root(const std::string& uri, const Json::Value& options) {
  Buffer result;
  Error error;
  const std::string text = to_text(options);
  error.check(pouch_reset(uri.c_str(), text.c_str(), nullptr, result.out(), error.out()));
  return result.json();
}

std::optional<Json::Value> find_account(const std::string& registry) {
  Buffer account;
  Error error;
  const pouch_status_t status = pouch_account_find(registry.c_str(), account.out(), error.out());
  if (status == POUCH_ERR_NOT_FOUND || status == POUCH_ERR_NOT_IMPLEMENTED) return std::nullopt;
  error.check(status);
  return account.json();
}

void store_account(const std::string& registry, const Json::Value& account) {
  Error error;
  error.check(pouch_account_store(registry.c_str(), to_text(account).c_str(), nullptr, error.out()));
}

bool erase_account(const std::string& registry) {
  Error error;
  const pouch_status_t status = pouch_account_erase(registry.c_str(), nullptr, error.out());
  if (status == POUCH_ERR_NOT_FOUND) return false;
  error.check(status);
  return true;
}

std::optional<Stream::Frame> Stream::next() {
  pouch_frame_t frame = POUCH_FRAME_INIT;
  Error error;
  const pouch_status_t status = pouch_stream_next(stream_.get(), -1, &frame, error.out());
  error.check(status);
  if (status != POUCH_OK) return std::nullopt;
  return Frame{frame.channel, frame.flags, std::string_view(frame.data, frame.size)};
}

bool Stream::write(std::string_view bytes, const std::atomic<bool>* stop) {
  while (!bytes.empty()) {
    size_t written = 0;
    Error error;
    const pouch_status_t status =
        pouch_stream_write(stream_.get(), bytes.data(), bytes.size(), kWriteMs, &written, error.out());
    if (status == POUCH_ERR_CLOSED || status == POUCH_ERR_CANCELLED) return false;
    error.check(status);
    if (stop != nullptr && stop->load()) return false;
    bytes.remove_prefix(written);
  }
  return true;
}

void Stream::close_write() {
  Error error;
  error.check(pouch_stream_close_write(stream_.get(), error.out()));
}

void Stream::resize(uint32_t rows, uint32_t columns) {
  Error error;
  error.check(pouch_stream_resize(stream_.get(), rows, columns, error.out()));
}

Json::Value Stream::finish() {
  Buffer result;
  Error error;
  error.check(pouch_stream_finish(stream_.get(), result.out(), error.out()));
  return result.json();
}

Client::Client(const std::string& uri, uint32_t log_level, bool session)
    : client_(open_client(uri, log_level, session), &pouch_client_free) {}

std::string Client::call_text(const char* op, const std::vector<std::string>& ids, const Json::Value& options,
                              const Json::Value& document) {
  const std::vector<const char*> names = pointers(ids);
  Buffer result;
  Error error;
  error.check(pouch_call(client_.get(), op, names.data(), names.size(), Text(document).get(),
                         Text(options).get(), nullptr, result.out(), error.out()));
  return std::string(result.text());
}

Json::Value Client::call(const char* op, const std::vector<std::string>& ids, const Json::Value& options,
                         const Json::Value& document) {
  const std::string text = call_text(op, ids, options, document);
  return text.empty() ? Json::Value() : to_json(text);
}

Stream Client::open(const char* op, const std::vector<std::string>& ids, const Json::Value& options,
                    const Json::Value& document) {
  const std::vector<const char*> names = pointers(ids);
  pouch_stream_t* stream = nullptr;
  Error error;
  error.check(pouch_open(client_.get(), op, names.data(), names.size(), Text(document).get(),
                         Text(options).get(), nullptr, &stream, error.out()));
  return Stream(stream);
}

Started Client::run(const Json::Value& config, const Json::Value& options, bool attach, Cancel& cancel) {
  pouch_call_t call = POUCH_CALL_INIT;
  call.cancel = cancel.get();
  pouch_stream_t* stream = nullptr;
  Buffer created;
  Error error;
  const pouch_status_t status =
      pouch_container_run(client_.get(), Text(config).get(), Text(options).get(), &call, created.out(),
                          attach ? &stream : nullptr, error.out());
  Started out;
  if (stream != nullptr) out.stream.emplace(stream);
  if (status < 0) out.error = error.to_exception(status);
  const Json::Value result = created.json();
  if (!result.isObject()) return out;
  out.id = result["Id"].asString();
  for (const Json::Value& warning : result["Warnings"]) out.warnings.push_back(warning.asString());
  return out;
}

}  // namespace pouch::cli
