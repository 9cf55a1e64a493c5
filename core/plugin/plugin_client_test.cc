#include "core/plugin/plugin_client.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace pouch::plugin {
namespace {

TEST(Plugins, HaveAddresses) {
  EXPECT_EQ(parse_plugin_address("unix:///run/x.sock\n")->socket, "/run/x.sock");
  const auto tcp = parse_plugin_address("tcp://127.0.0.1:99");
  EXPECT_EQ(tcp->host + " " + tcp->port, "127.0.0.1 99");
  EXPECT_EQ(parse_plugin_address("http://h:1/x")->port, "1");
  EXPECT_EQ(parse_plugin_address("https://h:1").code(), Code::kNotImplemented);
  for (const char* bad : {"", "unix://x", "tcp://h", "tcp://:1", "/run/x.sock"}) {
    EXPECT_EQ(parse_plugin_address(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Plugins, AnswerWholeOrInChunks) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  EXPECT_EQ(parse_plugin_answer(head + "Content-Length: 2\r\n\r\n{}more")->body, "{}");
  EXPECT_EQ(parse_plugin_answer(head + "\r\n{}")->body, "{}");
  EXPECT_EQ(
      parse_plugin_answer(head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\n\r\n")->body,
      "{}");
  EXPECT_EQ(parse_plugin_answer("HTTP/1.0 404 Not Found\r\n\r\n")->status, 404);
  for (const std::string& bad :
       {std::string(), std::string("HTTP/1.1 200 OK\r\n"), std::string("HTTP/1.1 OK\r\n\r\n"),
        head + "Content-Length: 3\r\n\r\n{}", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n"}) {
    EXPECT_EQ(parse_plugin_answer(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Plugins, AreFoundInTheFolders) {
  std::string text = std::filesystem::temp_directory_path() / "pouch-plugins-XXXXXX";
  const std::filesystem::path top = ::mkdtemp(text.data());
  std::filesystem::create_directories(top / "specs/two");
  const auto write = [&](const std::string& name, const std::string& data) {
    std::ofstream(top / name) << data;
  };
  write("specs/one.spec", "tcp://127.0.0.1:99\n");
  write("specs/two/two.json", R"({"Name":"two","Addr":"unix:///run/two.sock"})");
  write("specs/tls.json", R"({"Name":"tls","Addr":"tcp://h:1","TLSConfig":{"CAFile":"x"}})");
  const PluginFolders folders{top / "from", {top / "specs"}};
  EXPECT_EQ(find_plugin(folders, "one")->port, "99");
  EXPECT_EQ(find_plugin(folders, "two")->socket, "/run/two.sock");
  EXPECT_EQ(find_plugin(folders, "tls").code(), Code::kNotImplemented);
  EXPECT_EQ(list_plugins(folders), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(list_plugins({top / "from", {top / "from"}}).empty());
  for (const char* name : {"nosuch", "", "../specs/one", "two/two"}) {
    EXPECT_EQ(find_plugin(folders, name).code(), Code::kNotFound) << name;
  }
  std::filesystem::remove_all(top);
}

}  // namespace
}  // namespace pouch::plugin
