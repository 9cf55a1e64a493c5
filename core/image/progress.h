#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/api/common.gen.h"
#include "core/api/stream_pipe.h"

namespace pouch::image {

/// Messages of an operation to whoever reads its stream. A reader who is gone is no error here.
class Progress {
 public:
  Progress(std::shared_ptr<StreamPipe> pipe, bool is_quiet) : pipe_(std::move(pipe)), is_quiet_(is_quiet) {}

  /// A line that says what was done; always sent.
  void line(const std::string& text) {
    api::ProgressMessage message;
    message.stream = text + "\n";
    pipe_->push_latest("line " + std::to_string(++lines_), api::to_json_text(message)).ignore();
  }
  /// The id of what was made, as Moby's import sends it; always sent.
  void result(const std::string& id) {
    api::ProgressMessage message;
    message.status = id;
    pipe_->push_latest("result", api::to_json_text(message)).ignore();
  }
  /// A line about one object, or about none when `id` is empty; always sent.
  void note(const std::string& id, const std::string& text) {
    api::ProgressMessage message;
    if (!id.empty()) message.id = id;
    message.status = text;
    pipe_->push_latest("line " + std::to_string(++lines_), api::to_json_text(message)).ignore();
  }
  /// The end of a push: a line for people, and the same for programs, as Moby sends it; always sent.
  void pushed(const std::string& tag, const std::string& digest, int64_t size) {
    note("", tag + ": digest: " + digest + " size: " + std::to_string(size));
    api::ProgressMessage message;
    message.progress_detail.emplace();
    api::ProgressAux& aux = message.aux.emplace();
    aux.tag = tag;
    aux.digest = digest;
    aux.size = size;
    pipe_->push_latest("aux " + tag, api::to_json_text(message)).ignore();
  }
  /// How far one object has come, in bytes; a newer one replaces an unread older one. Not sent when quiet.
  /// From any thread.
  void part(const std::string& id, const std::string& text, int64_t current, int64_t total) {
    if (is_quiet_) return;
    api::ProgressDetail detail;
    detail.current = current;
    detail.total = total;
    push(id, id, text, detail);
  }
  /// What goes on with one object now: each such step is told. Not sent when quiet. From any thread.
  void status(const std::string& id, const std::string& text) {
    if (!is_quiet_) push(id + " " + text, id, text, {});
  }

 private:
  // By the empty details Docker's clients know what is to be shown in one place.
  void push(const std::string& key, const std::string& id, const std::string& text,
            const api::ProgressDetail& detail) {
    api::ProgressMessage message;
    if (!id.empty()) message.id = id;
    message.status = text;
    message.progress_detail = detail;
    pipe_->push_latest(key, api::to_json_text(message)).ignore();
  }

  std::shared_ptr<StreamPipe> pipe_;
  bool is_quiet_;
  int lines_ = 0;
};

/// The first 12 hex digits, as people see them.
inline std::string short_id(const std::string& digest) {
  return digest.substr(digest.find(':') + 1, 12);
}

}  // namespace pouch::image
