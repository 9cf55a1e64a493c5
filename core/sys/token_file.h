#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/file.h"

// Locked files whose names are random: proofs that something lives. Owner and SessionFile are made of them.

namespace pouch::sys {

struct TokenFile {
  std::string token;  ///< 16 hex digits, the file's name
  FileLock lock;
};

/// A new file in the folder, which must exist, locked.
Result<TokenFile> make_token_file(const std::string& folder);
bool is_token(const std::string& name);
std::vector<std::string> tokens_in(const std::string& folder);

/// What a token file tells of who made it, in the order of the tokens.
struct TokenFacts {
  std::string token;
  bool is_held = false;  ///< its maker lives
  int pid = 0;           ///< the number with which it begins
  std::string text;      ///< all of it
};
std::vector<TokenFacts> read_tokens(const std::string& folder);

/// Removes the file if nobody holds its lock.
void remove_if_unlocked(const std::string& folder, const std::string& token);

}  // namespace pouch::sys
