#pragma once

#include <span>
#include <string_view>

// The request documents as tables (schema.gen.cc), for normalising JSON without knowing its C++ type.

namespace pouch::bridge {

enum class TypeKind { kBool, kInteger, kNumber, kString, kList, kMap, kObject };

struct SchemaInfo;

struct TypeInfo {
  TypeKind kind = TypeKind::kString;
  const TypeInfo* item = nullptr;      ///< of lists and maps
  const SchemaInfo* schema = nullptr;  ///< of objects
};

struct FieldInfo {
  std::string_view name;
  const TypeInfo* type = nullptr;
};

struct SchemaInfo {
  std::string_view name;
  std::span<const FieldInfo> fields;
};

/// The config document of an operation; null when it has none.
const SchemaInfo* config_schema(std::string_view operation);

}  // namespace pouch::bridge
