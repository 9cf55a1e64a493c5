#include "daemon/bridge/normalise.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/text.h"

namespace pouch::bridge {
namespace {

// Moby's StrSlice: a string or a list of them.
constexpr std::array<std::string_view, 5> kStringOrList = {"Cmd", "Entrypoint", "Shell", "CapAdd", "CapDrop"};

void normalise_value(const TypeInfo& type, std::string_view name, Json& value);

Json zero_value(const TypeInfo& type) {
  switch (type.kind) {
    case TypeKind::kBool:
      return {false};
    case TypeKind::kInteger:
      return {::Json::Int64{0}};
    case TypeKind::kNumber:
      return {0.0};
    case TypeKind::kString:
      return {""};
    case TypeKind::kList:
      return json_array();
    case TypeKind::kMap:
    case TypeKind::kObject:
      break;
  }
  return json_object();
}

const FieldInfo* find_field(const SchemaInfo& schema, const std::string& name) {
  const FieldInfo* folded = nullptr;
  for (const FieldInfo& field : schema.fields) {
    if (field.name == name) return &field;
    if (field.name.size() == name.size() && to_lower(field.name) == to_lower(name)) folded = &field;
  }
  return folded;
}

void normalise_items(const TypeInfo& item, Json& container) {
  for (Json& element : container) {
    if (element.isNull()) element = zero_value(item);
    normalise_value(item, {}, element);
  }
}

void normalise_value(const TypeInfo& type, std::string_view name, Json& value) {
  switch (type.kind) {
    case TypeKind::kObject:
      normalise_document(*type.schema, value);
      return;
    case TypeKind::kList:
      if (value.isString() &&
          std::find(kStringOrList.begin(), kStringOrList.end(), name) != kStringOrList.end()) {
        Json list = json_array();
        list.append(std::move(value));
        value = std::move(list);
      }
      if (value.isArray()) normalise_items(*type.item, value);
      return;
    case TypeKind::kMap:
      if (value.isObject()) normalise_items(*type.item, value);
      return;
    case TypeKind::kBool:
    case TypeKind::kInteger:
    case TypeKind::kNumber:
    case TypeKind::kString:
      return;
  }
}

}  // namespace

void normalise_document(const SchemaInfo& schema, Json& document) {
  if (!document.isObject()) return;
  Json out = json_object();
  for (auto member = document.begin(); member != document.end(); ++member) {
    const std::string name = member.name();
    const FieldInfo* field = find_field(schema, name);
    if (field == nullptr || member->isNull()) continue;
    const std::string canonical(field->name);
    if (canonical != name && out.isMember(canonical)) continue;  // the exact name wins
    Json value = std::move(*member);
    normalise_value(*field->type, field->name, value);
    out[canonical] = std::move(value);
  }
  document = std::move(out);
}

Status normalise_filters(Json& filters) {
  if (filters.isNull()) {
    filters = json_object();
    return {};
  }
  if (!filters.isObject()) return invalid_argument("invalid filter: expected an object");
  for (auto member = filters.begin(); member != filters.end(); ++member) {
    if (member->isObject()) {
      Json values = json_array();
      for (const std::string& value : member->getMemberNames()) values.append(value);
      *member = std::move(values);
    }
    const bool is_list = member->isArray() && std::all_of(member->begin(), member->end(),
                                                          [](const Json& value) { return value.isString(); });
    if (!is_list)
      return invalid_argument("invalid filter " + quote(member.name()) + ": expected a list of strings");
  }
  return {};
}

}  // namespace pouch::bridge
