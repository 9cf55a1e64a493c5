#include "cli/format/listing.h"

#include "cli/api.h"
#include "cli/console.h"
#include "cli/format/table.h"

namespace pouch::cli {
namespace {

// In a shell's single quotes "\t" and "\n" stay two characters each.
std::string with_control_characters(std::string text) {
  for (const auto& [escape, character] : {std::pair{"\\t", "\t"}, std::pair{"\\n", "\n"}}) {
    for (size_t at = text.find(escape); at != std::string::npos; at = text.find(escape, at)) {
      text.replace(at, 2, character);
    }
  }
  return text;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool is_table(const std::string& format) {
  return format.empty() || format == "table" || format.starts_with("table ");
}

std::string template_of(const std::string& format, const std::string& table) {
  if (format == "json") return "";
  if (!is_table(format)) return with_control_characters(format);
  const std::string own = format.size() < 6 ? "" : trimmed(format.substr(6));
  return own.empty() ? table : with_control_characters(own);
}

void sanitise(Json::Value& value) {
  if (value.isString()) value = sanitised(value.asString());
  if (!value.isArray() && !value.isObject()) return;
  for (Json::Value& item : value) sanitise(item);
}

}  // namespace

Template parse_format(const std::string& text) {
  try {
    return Template(text);
  } catch (const TemplateError& error) {
    throw Exit(kExitError, std::string("failed to parse template: ") + error.what());
  }
}

std::string execute_format(const Template& format, const Json::Value& data,
                           const Template::Methods& methods) {
  try {
    return format.execute(data, methods);
  } catch (const TemplateError& error) {
    throw Exit(kExitError, std::string("failed to execute template: ") + error.what());
  }
}

Listing::Listing(const std::string& format, const std::string& table, Row headers)
    : is_json_(format == "json"),
      is_table_(is_table(format)),
      headers_(std::move(headers)),
      template_(parse_format(template_of(format, table))) {}

std::string Listing::render(std::vector<Row> rows) const {
  std::string out;
  if (is_table_) out = execute_format(template_, headers_.fields, headers_.methods) + "\n";
  for (Row& row : rows) {
    if (is_table_) sanitise(row.fields);
    out += is_json_ ? to_text(row.fields) : execute_format(template_, row.fields, row.methods);
    out += '\n';
  }
  return is_table_ ? aligned(out) : out;
}

}  // namespace pouch::cli
