#include "daemon/http/router.h"

#include <algorithm>

#include "core/base/number.h"
#include "core/base/text.h"
#include "daemon/http/message.h"

namespace pouch::http {
namespace {

using Segments = std::vector<std::string>;

bool is_id(std::string_view segment) {
  return segment.starts_with('{');
}

// Matches from segment `i` of the path and `k` of the pattern on; fills `ids`.
bool match(const Segments& path, size_t i, const Segments& pattern, size_t k, bool slashes, Segments& ids) {
  if (k == pattern.size()) return i == path.size();
  if (i >= path.size()) return false;
  if (!is_id(pattern[k])) return pattern[k] == path[i] && match(path, i + 1, pattern, k + 1, slashes, ids);
  const size_t most = slashes ? path.size() - i : 1;
  for (size_t take = most; take >= 1; --take) {  // greedy: an image may be called x/json
    const Segments part(path.begin() + static_cast<ptrdiff_t>(i),
                        path.begin() + static_cast<ptrdiff_t>(i + take));
    ids.push_back(join(part, "/"));
    if (!ids.back().empty() && match(path, i + take, pattern, k + 1, slashes, ids)) return true;
    ids.pop_back();
  }
  return false;
}

// More fixed segments first: /images/json before /images/{name}.
size_t fixed_count(const Segments& pattern) {
  return static_cast<size_t>(
      std::count_if(pattern.begin(), pattern.end(), [](const std::string& s) { return !is_id(s); }));
}

bool is_version(std::string_view segment) {
  return segment.size() > 1 && segment[0] == 'v' &&
         segment.find_first_not_of("0123456789.", 1) == std::string_view::npos;
}

}  // namespace

Target parse_target(std::string_view target) {
  Target out;
  if (!target.starts_with('/')) {  // absolute form, as to a proxy
    const size_t scheme = target.find("://");
    const size_t slash = scheme == std::string_view::npos ? scheme : target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  const size_t question = target.find('?');
  if (question != std::string_view::npos) out.query = target.substr(question + 1);
  std::string_view path = target.substr(0, question);
  const size_t second = path.find('/', 1);
  if (second != std::string_view::npos && is_version(path.substr(1, second - 1))) {
    out.version = path.substr(2, second - 2);
    path = path.substr(second);
  }
  out.path = path;
  return out;
}

Route find_route(std::string_view method, std::string_view path) {
  const Segments segments = split(path, '/');
  Route best;
  size_t best_fixed = 0;
  for (const api::OpInfo& op : api::operations()) {
    const bool same = op.method == method || (method == "HEAD" && op.wire == "ping");
    if (!same) continue;
    const Segments pattern = split(op.path, '/');
    Segments ids;
    if (!match(segments, 0, pattern, 0, op.id_has_slashes, ids)) continue;
    const size_t fixed = fixed_count(pattern);
    if (best.op != nullptr && fixed <= best_fixed) continue;
    best = {&op, std::move(ids)};
    best_fixed = fixed;
  }
  for (std::string& id : best.ids) {
    Result<std::string> decoded = percent_decode(id, false);
    if (!decoded.is_ok()) return {};
    id = std::move(*decoded);
  }
  return best;
}

int minor_version(std::string_view version) {
  if (!version.starts_with("1.")) return -1;
  const int minor = whole_number<int>(version.substr(2)).value_or(-1);
  return minor < 1000 ? minor : -1;
}

}  // namespace pouch::http
