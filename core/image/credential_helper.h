#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::image {

/// Runs a credential helper of Docker's protocol (docker-credential-pass and its like) to its end, at most 20
/// s: `verb` is its argument, `input` its standard input; what it prints. NotFound when it has nothing for
/// the input; other errors are its own words.
Result<std::string> run_credential_helper(const std::string& program, const std::string& verb,
                                          const std::string& input);

}  // namespace pouch::image
