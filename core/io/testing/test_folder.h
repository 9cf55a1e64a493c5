#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "core/sys/file.h"

namespace pouch {

/// A private folder in the temporary one, removed with all in it.
class TestFolder {
 public:
  TestFolder() {
    std::string name = testing::TempDir() + "pouch-test-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TestFolder() { EXPECT_TRUE(sys::remove_tree(path_).is_ok()); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace pouch
