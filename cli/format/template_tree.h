#pragma once

#include <json/value.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/format/template.h"

// The parsed form of a template; between parser and evaluation only.
namespace pouch::cli {

struct Pipeline;

struct Operand {
  enum class Kind { kDot, kVariable, kLiteral, kFunction, kPipeline };
  Kind kind = Kind::kDot;
  std::string name;  ///< of a variable ("$x", "$") or function
  Json::Value literal;
  std::vector<std::string> fields;     ///< what follows: .A.B
  std::shared_ptr<Pipeline> pipeline;  ///< in parentheses
  std::string source;                  ///< as written, for messages
};

/// A function or field with its arguments, or a single operand.
struct Call {
  std::vector<Operand> operands;
};

struct Pipeline {
  std::vector<std::string> variables;  ///< that get the value
  bool declares = false;               ///< := and not =
  std::vector<Call> calls;
};

struct Template::Node {
  enum class Kind { kText, kAction, kIf, kRange, kWith };
  Kind kind = Kind::kText;
  std::string text;
  Pipeline pipeline;
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

/// Throws TemplateError.
std::vector<Template::Node> parse_template(const std::string& text);

/// Whether there is such a function (template_functions.cc).
bool is_template_function(const std::string& name);
/// Calls it. Throws TemplateError.
Json::Value call_template_function(const std::string& name, const std::vector<Json::Value>& arguments);
/// What Go's {{if}} makes of a value.
bool template_truth(const Json::Value& value);
/// What Go prints for a value.
std::string template_text(const Json::Value& value);

}  // namespace pouch::cli
