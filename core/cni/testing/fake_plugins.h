#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/cni/runtime.h"
#include "core/io/testing/test_folder.h"
#include "core/sys/file.h"

// Plugins that are shell scripts, which keep what they are told.

namespace pouch::cni {

/// What a plugin was told.
struct FakeCall {
  std::string plugin;
  std::string command;
  Json config;
};

inline Call soon() {
  return {.deadline = Deadline::after_ms(20'000), .cancel = nullptr, .request_id = {}};
}

inline std::string path_for_scripts() {
  return "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
}

class FakePlugins : public testing::Test {
 protected:
  /// `versions` as JSON: "\"0.4.0\",\"1.0.0\""; `body` are lines of shell that may look at $CNI_COMMAND, and
  /// at $config, what was on stdin; $folder is the test's.
  void plugin(const std::string& name, const std::string& versions, const std::string& body) {
    const std::string script = "#!/bin/sh\n" + path_for_scripts() + "folder='" + folder_.path() +
                               "'\nconfig=$(cat)\nprintf '%s\\t%s\\t%s\\n' " + name +
                               " \"$CNI_COMMAND\" \"$config\" >>\"$folder/calls\"\n"
                               "if [ \"$CNI_COMMAND\" = VERSION ]; then\n"
                               "  echo '{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[" +
                               versions + "]}'\n  exit 0\nfi\n" + body;
    file("plugins/" + name, script, 0700);
  }

  /// One that answers ADD with a result.
  void answering(const std::string& name, const std::string& versions, const std::string& result) {
    plugin(name, versions, "[ \"$CNI_COMMAND\" = ADD ] && echo '" + result + "'\nexit 0\n");
  }

  void file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_.file(name);
    ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);
    ASSERT_TRUE(sys::write_file_atomic(path, text, mode, false).is_ok());
  }

  std::string read(const std::string& name) const {
    const Result<std::string> text = sys::read_file(folder_.file(name));
    return text.is_ok() ? *text : "";
  }

  /// What was called since the last look, without VERSION unless asked for.
  std::vector<FakeCall> calls(bool with_version = false) {
    std::vector<FakeCall> all;
    for (const std::string& line : split(read("calls"), '\n')) {
      const std::vector<std::string> parts = split(line, '\t');
      if (parts.size() != 3 || (parts[1] == "VERSION" && !with_version)) continue;
      const Result<Json> config = parse_json(parts[2]);
      EXPECT_TRUE(config.is_ok()) << line;
      all.push_back({parts[0], parts[1], config.is_ok() ? *config : json_object()});
    }
    sys::remove_tree(folder_.file("calls")).ignore();
    return all;
  }

  /// The same as "one:ADD two:ADD".
  std::string called(bool with_version = false) {
    std::vector<std::string> words;
    for (const FakeCall& call : calls(with_version)) words.push_back(call.plugin + ":" + call.command);
    return join(words, " ");
  }

  /// A list of plugins by name, each with further members of its object: {{"one", "\"capabilities\":{}"}}.
  NetworkList list(const std::string& version,
                   const std::vector<std::pair<std::string, std::string>>& plugins,
                   const std::string& more = "") {
    std::vector<std::string> objects;
    for (const auto& [name, members] : plugins) {
      std::string object = "{\"type\":\"" + name + "\"";
      if (!members.empty()) object += "," + members;
      objects.push_back(object + "}");
    }
    const std::string text = "{\"cniVersion\":\"" + version + "\",\"name\":\"net\"" + more +
                             ",\"plugins\":[" + join(objects, ",") + "]}";
    Result<NetworkList> parsed = parse_list(text, "");
    EXPECT_TRUE(parsed.is_ok()) << parsed.status().to_string();
    return parsed.is_ok() ? *parsed : NetworkList();
  }

  const TestFolder folder_;
  Runtime runtime_{{folder_.file("no-such-folder"), folder_.file("plugins")}, folder_.file("results")};
  const Attachment attachment_ = {.container_id = "c1", .netns = "/run/netns/blue", .ifname = "eth0"};
};

inline constexpr const char* kAllVersions = R"("0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0")";
inline constexpr const char* kResult =
    R"({"cniVersion":"1.0.0","interfaces":[{"name":"br0"},{"name":"eth0","mac":"0a:00:00:00:00:01","sandbox":"/run/netns/blue"}],"ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":1}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.1.0.1"]}})";

}  // namespace pouch::cni
