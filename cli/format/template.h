#pragma once

#include <json/value.h>

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace pouch::cli {

/// What is wrong with a template, or with what it asks of its data. One line, in Go's words.
class TemplateError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A template of --format: the part of Go's text/template that Docker's users use, with Docker's functions.
///
///   {{.Name}} {{.State.Pid}} {{$x.Field}}        fields; an array's elements by index
///   {{json .}} {{join .Args ","}} {{. | upper}}  functions, pipelines, parentheses, literals
///   {{if}} {{else if}} {{range $i, $v := .L}} {{with}} {{else}} {{end}} {{$x := .}} {{$x = .}} {{- trim -}}
///
/// Functions: and, eq, ge, gt, index, join, json, le, len, lower, lt, ne, not, or, pad, print, printf,
/// println, slice, split, title, truncate, upper. Anything else of text/template is a TemplateError.
class Template {
 public:
  /// Fields of the top level that are computed, or take arguments: {{.Label "name"}}.
  using Method = std::function<Json::Value(const std::vector<Json::Value>& arguments)>;
  using Methods = std::map<std::string, Method>;
  /// What fields are worth that an object may leave out.
  using Defaults = std::map<std::string, Json::Value>;

  struct Node;

  /// Throws TemplateError.
  explicit Template(const std::string& text);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// Throws TemplateError. A field that is not there is false in conditions, and an error where it is
  /// printed.
  [[nodiscard]] std::string execute(const Json::Value& data, const Methods& methods = {},
                                    const Defaults& defaults = {}) const;

  /// Whether a field of the top level is named in it.
  [[nodiscard]] bool uses(const std::string& field) const;

 private:
  std::vector<Node> nodes_;
};

}  // namespace pouch::cli
