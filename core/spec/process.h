#pragma once

#include <string>
#include <vector>

#include "core/api/json.h"
#include "core/spec/oci_spec.h"

namespace pouch::spec {

struct ProcessInput {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  User user;
  bool tty = false;
  std::vector<uint64_t> console_size;  ///< [rows, columns] or empty
  bool privileged = false;
  bool no_new_privileges = false;
};

/// The OCI `process` object. Fills `capabilities` with what it may do.
Result<Json> build_process(const ProcessInput& input, const api::HostConfig& host, const HostFacts& facts,
                           std::vector<std::string>& warnings, std::vector<std::string>& capabilities);

/// Docker's environment: PATH, HOSTNAME, TERM with a terminal, then the configured ones.
std::vector<std::string> build_environment(const std::string& hostname, bool tty,
                                           const std::vector<std::string>& env);

}  // namespace pouch::spec
