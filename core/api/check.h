#pragma once

#include <vector>

#include "core/api/system.gen.h"
#include "core/base/finding.h"

namespace pouch::api {

CheckFinding to_document(const Finding& finding);
CheckReport make_report(const std::vector<Finding>& findings);

}  // namespace pouch::api
