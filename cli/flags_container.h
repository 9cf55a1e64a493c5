#pragma once

#include <json/value.h>

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"

namespace pouch::cli {

/// The flags that run and create share, and the container that they describe.
class ContainerFlags {
 public:
  void declare(Options& options);

  /// The document of container.create. `arguments` are the image and the command; `detached` as of run.
  /// Throws Exit for what contradicts itself, or for files that cannot be read.
  [[nodiscard]] Json::Value config(const std::vector<std::string>& arguments, bool detached) const;
  /// The options of container.create.
  [[nodiscard]] Json::Value create_options() const;
  /// Throws Exit when the value of --pull is unknown.
  void check_pull() const;

  // What is not in the document.
  std::string name;
  std::string platform;
  std::string pull = "missing";
  std::string id_file;
  bool auto_remove = false;
  bool tty = false;
  bool interactive = false;
  std::vector<std::string> attach;

 private:
  void declare_process(Options& options);
  void declare_resources(Options& options);
  void declare_devices(Options& options);
  void declare_security(Options& options);
  void declare_mounts(Options& options);
  void declare_network(Options& options);
  void declare_life(Options& options);
  void declare_health(Options& options);

  // Flags whose value goes straight into the documents.
  void text(Options& options, const std::string& names, Json::Value& document, const char* key,
            const std::string& help);
  void integer(Options& options, const std::string& names, Json::Value& document, const char* key,
               const std::string& help);
  void list(Options& options, const std::string& names, Json::Value& document, const char* key,
            const std::string& help);
  /// `parse` makes the value that is stored, or with `append` added to an array.
  void parsed(Options& options, const std::string& names, const std::string& type, Json::Value& document,
              const char* key, Json::Value (*parse)(const std::string&), bool append,
              const std::string& help);
  /// "a=b" into an object.
  void pairs(Options& options, const std::string& names, Json::Value& document, const char* key,
             const std::string& help);

  void set_attached(Json::Value& config, bool detached) const;
  void set_environment(Json::Value& config) const;
  void set_labels(Json::Value& config) const;
  void set_volumes(Json::Value& config, Json::Value& host) const;
  void set_security(Json::Value& host) const;
  void set_network(Json::Value& config, Json::Value& host) const;
  void set_health(Json::Value& config) const;

  Json::Value config_{Json::objectValue};
  Json::Value host_{Json::objectValue};
  Json::Value health_{Json::objectValue};
  Json::Value endpoint_{Json::objectValue};
  Json::Value addresses_{Json::objectValue};
  Json::Value log_{Json::objectValue};
  std::optional<std::string> entrypoint_;
  std::optional<std::string> health_command_;
  bool no_health_check_ = false;
  std::vector<std::string> env_;
  std::vector<std::string> env_files_;
  std::vector<std::string> labels_;
  std::vector<std::string> label_files_;
  std::vector<std::string> volumes_;
  std::vector<std::string> networks_;
  std::vector<std::string> security_;
};

}  // namespace pouch::cli
