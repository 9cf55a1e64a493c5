#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/io/json_log.h"
#include "core/io/stdio.h"

namespace pouch::io {

/// Of its file, behind the stream's id.
inline constexpr char kRecordSuffix[] = ".clients";

/// What the next worker must know to serve the attached clients of this one: how far the output was logged,
/// and who would come back. A mapped file, so that keeping it costs a few stores a chunk; valid after a kill
/// at any moment.
class StreamRecord {
 public:
  /// Where the log stood when so much output was in it. It may be older than the log.
  struct Mark {
    OutputCounts counts;
    LogPlace place;
  };

  static Result<std::unique_ptr<StreamRecord>> create(const std::string& path, int64_t generation);
  /// An earlier worker's, of this generation. NotFound when it had no such clients.
  static Result<std::unique_ptr<StreamRecord>> open(const std::string& path, int64_t generation);
  ~StreamRecord();
  StreamRecord(const StreamRecord&) = delete;
  StreamRecord& operator=(const StreamRecord&) = delete;

  Mark mark() const;
  void set_mark(const Mark& mark);

  /// Notes a client under the number that it has, or a new one (0); the number. 0 when there are too many.
  uint64_t add_client(uint64_t number);
  /// How many bytes of its input the process's pipe has; also of one that was removed, until another has its
  /// place. nullopt: it was never here.
  std::optional<uint64_t> input_of(uint64_t number) const;
  void set_input(uint64_t number, uint64_t bytes);
  void remove_client(uint64_t number);
  void remove_clients();
  std::vector<uint64_t> clients() const;

 private:
  struct Client {
    uint64_t number;  // 0: nobody yet
    uint64_t input;
    uint64_t is_here;
  };
  struct Layout {
    uint32_t format;
    uint32_t current;  // of the marks: the other one is written, then this
    int64_t generation;
    std::array<Mark, 2> marks;
    uint64_t last_number;
    std::array<Client, 64> clients;
  };
  explicit StreamRecord(Layout* layout) : layout_(layout) {}
  static Result<std::unique_ptr<StreamRecord>> map(int fd, const std::string& path);
  Client* find(uint64_t number) const;

  Layout* const layout_;
};

}  // namespace pouch::io
