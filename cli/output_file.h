#pragma once

#include <string>
#include <string_view>

namespace pouch::cli {

/// A file that a command writes: it is there when all of it is, and what was there before stays until then.
/// What is no regular file (/dev/null, a pipe) is written as it is. Throws Exit.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  /// Without keep() nothing is left.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void keep();

 private:
  std::string path_;
  std::string temporary_;  ///< empty: `path_` itself is written
  int fd_ = -1;
};

}  // namespace pouch::cli
