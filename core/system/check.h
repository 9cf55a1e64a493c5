#pragma once

#include <vector>

#include "core/base/cancel.h"
#include "core/base/finding.h"
#include "core/store/engine_options.h"

namespace pouch {

/// Looks at all that the engine of a root needs; makes and changes nothing, and needs neither an open root
/// nor rights (what only root can tell is a warning then). Takes under a second. `options`: complete, with
/// what the root has decided; an empty run folder is one not yet decided.
std::vector<Finding> check_host(const EngineOptions& options, const Call& call);

/// The parts, in their order.
namespace checks {

using Findings = std::vector<Finding>;

void user(Findings& out);
void registries(const EngineOptions& options, Findings& out);
void place(const EngineOptions& options, Findings& out);  ///< root and run folder, file system, space
void containerd(const EngineOptions& options, const Call& call, Findings& out);
void runtimes(const EngineOptions& options, Findings& out);  ///< shim and OCI runtimes
void keeper(const EngineOptions& options, Findings& out);
void privileges(Findings& out);
void overlay(const EngineOptions& options, Findings& out);
void control_groups(Findings& out);
void packet_filter(Findings& out);
void limits(Findings& out);

bool is_root();

}  // namespace checks
}  // namespace pouch
