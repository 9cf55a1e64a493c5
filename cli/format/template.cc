#include "cli/format/template.h"

#include <algorithm>
#include <optional>

#include "cli/format/template_tree.h"

namespace pouch::cli {
namespace {

using Node = Template::Node;

// A JSON value, or the fact that a field was not there.
struct Value {
  Json::Value json;
  std::string absent;  ///< name of the field
};

class Evaluation {
 public:
  Evaluation(const Json::Value& data, const Template::Methods& methods, const Template::Defaults& defaults)
      : data_(data), methods_(methods), defaults_(defaults) {
    variables_.emplace_back("$", data);
  }

  void run(const std::vector<Node>& nodes, const Json::Value& dot) {
    const size_t scope = variables_.size();
    for (const Node& node : nodes) run(node, dot);
    variables_.resize(scope);
  }

  std::string take() { return std::move(out_); }

 private:
  void run(const Node& node, const Json::Value& dot) {
    if (node.kind == Node::Kind::kText) {
      out_ += node.text;
      return;
    }
    const size_t scope = variables_.size();
    const Value value = evaluate(node.pipeline, dot, node.kind == Node::Kind::kRange);
    if (node.kind == Node::Kind::kAction) {
      if (!node.pipeline.variables.empty()) return;  // it lives to the end of the enclosing block
      check_there(value, node.pipeline.calls.back().operands.front());
      out_ += template_text(value.json);
    } else if (node.kind == Node::Kind::kRange) {
      range(node, value.json, dot);
    } else if (template_truth(value.json)) {
      run(node.body, node.kind == Node::Kind::kWith ? value.json : dot);
    } else {
      run(node.otherwise, dot);
    }
    variables_.resize(scope);
  }

  void range(const Node& node, const Json::Value& list, const Json::Value& dot) {
    if (!list.isNull() && !list.isArray() && !list.isObject()) {
      fail(node.pipeline.calls.back().operands.front(), "range can't iterate over " + template_text(list));
    }
    if (list.empty()) return run(node.otherwise, dot);
    for (auto entry = list.begin(); entry != list.end(); ++entry) {
      const size_t scope = variables_.size();
      const std::vector<std::string>& names = node.pipeline.variables;
      if (names.size() == 2) set(names[0], entry.key(), true);
      if (!names.empty()) set(names.back(), *entry, true);
      run(node.body, *entry);
      variables_.resize(scope);
    }
  }

  // For range the variables are set per element instead.
  Value evaluate(const Pipeline& pipeline, const Json::Value& dot, bool is_range = false) {
    std::optional<Value> value;
    for (const Call& call : pipeline.calls) value = evaluate(call, dot, value);
    if (!is_range) {
      for (const std::string& name : pipeline.variables) set(name, value->json, pipeline.declares);
    }
    return *value;
  }

  // `last` is what the call before in the pipeline gave: the last argument.
  Value evaluate(const Call& call, const Json::Value& dot, const std::optional<Value>& last) {
    const Operand& first = call.operands.front();
    const bool is_function = first.kind == Operand::Kind::kFunction;
    const Template::Method* const method = is_function ? nullptr : find_method(first, dot);
    if (!is_function && method == nullptr) {
      if (call.operands.size() > 1 || last)
        fail(first, "can't give argument to non-function " + first.source);
      return evaluate(first, dot);
    }
    std::vector<Json::Value> arguments;
    for (size_t i = 1; i < call.operands.size(); ++i) {
      const Value argument = evaluate(call.operands[i], dot);
      if (!tolerates_absent(first.name)) check_there(argument, call.operands[i]);
      arguments.push_back(argument.json);
    }
    if (last) {
      if (!tolerates_absent(first.name)) check_there(*last, first);
      arguments.push_back(last->json);
    }
    try {
      if (method != nullptr) return {(*method)(arguments), ""};
      return {call_template_function(first.name, arguments), ""};
    } catch (const TemplateError& error) {
      fail(first, "error calling " + first.source + ": " + error.what());
    }
  }

  Value evaluate(const Operand& operand, const Json::Value& dot) {
    Value value;
    if (operand.kind == Operand::Kind::kDot) {
      if (const Template::Method* method = find_method(operand, dot)) return {(*method)({}), ""};
      value.json = dot;
    } else if (operand.kind == Operand::Kind::kVariable) {
      value.json = variable(operand);
    } else if (operand.kind == Operand::Kind::kPipeline) {
      value = evaluate(*operand.pipeline, dot);
    } else if (operand.kind == Operand::Kind::kFunction) {
      value.json = call_template_function(operand.name, {});
    } else {
      value.json = operand.literal;
    }
    for (const std::string& field : operand.fields) value = member(value, field, operand);
    return value;
  }

  Value member(const Value& value, const std::string& field, const Operand& operand) {
    if (value.json.isNull()) return {Json::Value(), value.absent.empty() ? field : value.absent};
    if (!value.json.isObject())
      fail(operand, "can't evaluate field " + field + " in " + template_text(value.json));
    const Json::Value* const found = value.json.find(field.data(), field.data() + field.size());
    if (found != nullptr) return {*found, ""};
    const auto known = defaults_.find(field);
    if (known != defaults_.end()) return {known->second, ""};
    return {Json::Value(), field};
  }

  // A computed field of the top level: {{.Label "x"}}, {{$.Label "x"}}.
  const Template::Method* find_method(const Operand& operand, const Json::Value& dot) const {
    const bool is_top = (operand.kind == Operand::Kind::kDot && &dot == &data_) || operand.name == "$";
    if (!is_top || operand.fields.size() != 1) return nullptr;
    const auto found = methods_.find(operand.fields[0]);
    return found == methods_.end() ? nullptr : &found->second;
  }

  const Json::Value& variable(const Operand& operand) {
    for (auto entry = variables_.rbegin(); entry != variables_.rend(); ++entry) {
      if (entry->first == operand.name) return entry->second;
    }
    fail(operand, "undefined variable \"" + operand.name + "\"");
  }

  void set(const std::string& name, const Json::Value& value, bool declares) {
    for (auto entry = variables_.rbegin(); !declares && entry != variables_.rend(); ++entry) {
      if (entry->first != name) continue;
      entry->second = value;
      return;
    }
    if (!declares) throw TemplateError("template: undefined variable \"" + name + "\"");
    variables_.emplace_back(name, value);
  }

  static bool tolerates_absent(const std::string& function) {
    return function == "and" || function == "or" || function == "not" || function == "eq" || function == "ne";
  }

  static void check_there(const Value& value, const Operand& operand) {
    if (!value.absent.empty()) fail(operand, "map has no entry for key \"" + value.absent + "\"");
  }

  [[noreturn]] static void fail(const Operand& operand, const std::string& problem) {
    throw TemplateError("template: executing \"\" at <" + operand.source + ">: " + problem);
  }

  const Json::Value& data_;
  const Template::Methods& methods_;
  const Template::Defaults& defaults_;
  std::vector<std::pair<std::string, Json::Value>> variables_;
  std::string out_;
};

bool uses_field(const Pipeline& pipeline, const std::string& field) {
  for (const Call& call : pipeline.calls) {
    for (const Operand& operand : call.operands) {
      if (!operand.fields.empty() && operand.fields.front() == field) return true;
      if (operand.pipeline && uses_field(*operand.pipeline, field)) return true;
    }
  }
  return false;
}

bool uses_field(const std::vector<Node>& nodes, const std::string& field) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    return uses_field(node.pipeline, field) || uses_field(node.body, field) ||
           uses_field(node.otherwise, field);
  });
}

}  // namespace

Template::Template(const std::string& text) : nodes_(parse_template(text)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::execute(const Json::Value& data, const Methods& methods,
                              const Defaults& defaults) const {
  Evaluation evaluation(data, methods, defaults);
  evaluation.run(nodes_, data);
  return evaluation.take();
}

bool Template::uses(const std::string& field) const {
  return uses_field(nodes_, field);
}

}  // namespace pouch::cli
