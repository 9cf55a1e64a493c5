#include "core/api/op.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"

namespace pouch::api {

const OpInfo* find_operation(std::string_view name) {
  const auto all = operations();
  const auto at =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const OpInfo& op, std::string_view wanted) { return op.name < wanted; });
  return at != all.end() && at->name == name ? &*at : nullptr;
}

namespace internal {

Status check_args(const OpInfo& op, const OpArgs& args) {
  const std::string name(op.name);
  if (args.ids.size() != op.ids.size()) {
    return invalid_argument(name + ": takes " + std::to_string(op.ids.size()) + " ids, got " +
                            std::to_string(args.ids.size()));
  }
  for (size_t i = 0; i < args.ids.size(); ++i) {
    if (args.ids[i].empty())
      return invalid_argument(name + ": " + std::string(op.ids[i]) + " must not be empty");
    if (args.ids[i].find('\0') != std::string::npos || !is_valid_utf8(args.ids[i])) {
      return invalid_argument(name + ": " + std::string(op.ids[i]) + " is not text: " + quote(args.ids[i]));
    }
  }
  const bool has_config = args.config != nullptr && !args.config->isNull();
  if (has_config && !op.has_config) return invalid_argument(name + ": takes no config document");
  if (!has_config && op.config_required) return invalid_argument(name + ": the config document is required");
  return {};
}

}  // namespace internal

namespace {

LogScope scope_of(const OpArgs& args, const Call& call) {
  return {{}, args.ids.empty() ? std::string() : args.ids.front(), call.request_id};
}

void tell(const OpInfo& op, int64_t began_ns, const Status& outcome) {
  if (!is_log_enabled(LogLevel::kDebug)) return;
  const std::string spent = " after " + std::to_string((boot_now_ns() - began_ns) / 1'000'000) + " ms";
  log_debug("api", std::string(op.name) + ": " + (outcome.is_ok() ? "Ok" : outcome.to_string()) + spent);
}

}  // namespace

Result<Json> call_operation(Engine& engine, const OpInfo& op, const OpArgs& args, const Call& call) {
  POUCH_RETURN_IF_ERROR(internal::check_args(op, args));
  const auto index = static_cast<size_t>(&op - operations().data());
  const internal::CallFunction function = internal::dispatch_table()[index].call;
  if (function == nullptr) return invalid_argument(std::string(op.name) + " is a stream: open it");
  POUCH_RETURN_IF_ERROR(call.check());
  const LogScoped scoped(scope_of(args, call));
  const int64_t began_ns = boot_now_ns();
  Result<Json> result = function(engine, args, call);
  tell(op, began_ns, result.status());
  return result;
}

Result<StreamPtr> open_operation(Engine& engine, const OpInfo& op, const OpArgs& args, const Call& call) {
  POUCH_RETURN_IF_ERROR(internal::check_args(op, args));
  const auto index = static_cast<size_t>(&op - operations().data());
  const internal::OpenFunction function = internal::dispatch_table()[index].open;
  if (function == nullptr) return invalid_argument(std::string(op.name) + " is no stream: call it");
  POUCH_RETURN_IF_ERROR(call.check());
  const LogScoped scoped(scope_of(args, call));
  const int64_t began_ns = boot_now_ns();
  Result<StreamPtr> stream = function(engine, args, call);
  tell(op, began_ns, stream.status());
  return stream;
}

}  // namespace pouch::api
