#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/codec.h"
#include "core/api/json.h"
#include "core/api/stream.h"
#include "core/api/stream_pipe.h"
#include "core/base/cancel.h"

namespace pouch {
class Engine;
}

// The table of operations (ops.gen.cc) and the generic way to run one: the C ABI's pouch_call and pouch_open,
// the HTTP server and RemoteEngine all work from it.

namespace pouch::api {

enum class OpKind { kUnary, kStream, kUpload, kDuplex };
enum class OpFrames { kNone, kStdio, kMessages, kData };
enum class ParamType { kString, kBool, kInt64, kUint64, kDouble, kTime, kDuration, kStringList, kJson };

/// One option; all of an operation's together are its options document.
struct ParamInfo {
  std::string_view name;
  ParamType type = ParamType::kString;
  bool required = false;
  /// The header in which it travels, JSON in base64url, for it may be secret; empty: in the query.
  std::string_view header = {};
};

struct OpInfo {
  std::string_view name;    ///< "container.stop"
  std::string_view method;  ///< "POST"
  std::string_view path;    ///< "/containers/{id}/stop"
  OpKind kind = OpKind::kUnary;
  OpFrames frames = OpFrames::kNone;
  QueuePolicy queue = QueuePolicy::kBlock;
  bool id_has_slashes = false;            ///< the path parameter may hold "/" (image names)
  std::span<const std::string_view> ids;  ///< names of the path parameters, in order
  std::span<const ParamInfo> options;
  std::span<const Code> errors;  ///< those of its own, beside the ones any operation may give
  bool has_config = false;       ///< takes a body document
  bool config_required = false;
  bool has_result = false;  ///< unary: answers a document
  int success_status = 200;
  bool retry_safe = false;
  std::string_view wire;   ///< a special wire form, e.g. "ping"; usually empty
  std::string_view since;  ///< release that first had it
};

/// All operations, sorted by name.
std::span<const OpInfo> operations();
/// Null when there is no such operation.
const OpInfo* find_operation(std::string_view name);

/// What a generic call carries. `config` and `options` may be null: none, defaults.
struct OpArgs {
  std::span<const std::string> ids;
  const Json* config = nullptr;
  const Json* options = nullptr;
  DecodeMode mode = DecodeMode::kStrict;
};

/// Runs a unary operation: decodes, calls the engine, encodes. Null JSON where it has no result.
Result<Json> call_operation(Engine& engine, const OpInfo& op, const OpArgs& args, const Call& call);
/// Opens a stream, upload or duplex operation.
Result<StreamPtr> open_operation(Engine& engine, const OpInfo& op, const OpArgs& args, const Call& call);

// For the generated code.
namespace internal {

using CallFunction = Result<Json> (*)(Engine&, const OpArgs&, const Call&);
using OpenFunction = Result<StreamPtr> (*)(Engine&, const OpArgs&, const Call&);
struct Dispatch {
  CallFunction call = nullptr;
  OpenFunction open = nullptr;
};
/// In the order of operations().
std::span<const Dispatch> dispatch_table();

Status check_args(const OpInfo& op, const OpArgs& args);

/// Defaults when the document is absent; errors carry `what` ("options", "config") in their path.
template <class T>
Result<T> decode_argument(const Json* document, DecodeMode mode) {
  static const Json* const empty = std::make_unique<Json>(::Json::objectValue).release();
  return from_json<T>(document == nullptr || document->isNull() ? *empty : *document, mode);
}

template <class T>
Result<Json> encode_result(const Result<T>& result) {
  if (!result.is_ok()) return result.status();
  return encode_value(*result);
}

inline Result<Json> encode_status(const Status& status) {
  if (!status.is_ok()) return status;
  return Json();
}

}  // namespace internal
}  // namespace pouch::api
