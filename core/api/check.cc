#include "core/api/check.h"

#include <algorithm>

namespace pouch::api {

CheckFinding to_document(const Finding& finding) {
  CheckFinding out;
  out.name = finding.name;
  out.level = std::string(finding_level_name(finding.level));
  out.message = finding.message;
  if (!finding.fix.empty()) out.fix = finding.fix;
  return out;
}

CheckReport make_report(const std::vector<Finding>& findings) {
  CheckReport out;
  out.ok = std::none_of(findings.begin(), findings.end(),
                        [](const Finding& finding) { return finding.level == FindingLevel::kError; });
  for (const Finding& finding : findings) out.findings.push_back(to_document(finding));
  return out;
}

}  // namespace pouch::api
