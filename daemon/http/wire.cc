#include "daemon/http/wire.h"

#include "core/api/json.h"
#include "core/base/base64.h"

namespace pouch::http {
namespace {

Json error_json(const Status& status) {
  Json error = json_object();
  error["message"] = status.message();
  error["code"] = std::string(code_name(status.code()));
  if (!status.details_json().empty()) {
    if (Result<Json> details = parse_json(status.details_json()); details.is_ok())
      error["details"] = *details;
  }
  return error;
}

}  // namespace

std::string error_document(const Status& status) {
  return write_json(error_json(status));
}

std::string end_record(const Status& status, const std::string& result_json) {
  if (status.is_ok()) {
    return "{\"pouchEnd\":{\"result\":" + (result_json.empty() ? "null" : result_json) + "}}";
  }
  Json end = json_object();
  end["pouchEnd"]["error"] = error_json(status);
  return write_json(end);
}

std::string end_trailer(const Status& status, const std::string& result_json) {
  return "Pouch-End: " + base64_encode(end_record(status, result_json)) + "\r\n";
}

std::string lost_record(uint32_t count) {
  return "{\"pouchLost\":" + std::to_string(count) + "}";
}

}  // namespace pouch::http
