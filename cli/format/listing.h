#pragma once

#include <json/value.h>

#include <string>
#include <vector>

#include "cli/format/template.h"

namespace pouch::cli {

/// One line of a list: its fields by name, texts as a rule, and fields that take arguments.
struct Row {
  Json::Value fields;
  Template::Methods methods;
};

/// How --format wants a list: "", "table", "table TEMPLATE", "json" or a template.
class Listing {
 public:
  /// `table` is the template of the plain table, `headers` the titles of its columns by field. Throws Exit.
  Listing(const std::string& format, const std::string& table, Row headers);

  /// The lines. In tables the texts of others are made safe for a terminal. Throws Exit.
  [[nodiscard]] std::string render(std::vector<Row> rows) const;
  /// Whether the template names a field of the rows. False for "json".
  [[nodiscard]] bool uses(const std::string& field) const { return template_.uses(field); }

 private:
  bool is_json_;
  bool is_table_;
  Row headers_;
  Template template_;
};

/// Template errors as what ends a command.
Template parse_format(const std::string& text);
std::string execute_format(const Template& format, const Json::Value& data,
                           const Template::Methods& methods = {});

}  // namespace pouch::cli
