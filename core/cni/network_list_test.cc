#include "core/cni/network_list.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/io/testing/test_folder.h"

namespace pouch::cni {
namespace {

void write(const std::string& path, const std::string& text) {
  ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);
  ASSERT_TRUE(sys::write_file_atomic(path, text, 0600, false).is_ok());
}

std::string version_of(const std::string& members) {
  const auto list = parse_list(R"({"name":"n","plugins":[{"type":"a"}])" + members + "}", "");
  return list.is_ok() ? list->cni_version : list.status().to_string();
}

TEST(NetworkListTest, ReadsAList) {
  const std::string text = R"({
    "cniVersion": "1.0.0", "name": "db-net.1", "disableCheck": true, "disableGC": true, "vendor": {"x": 1},
    "plugins": [{"type": "bridge", "capabilities": {"ips": true, "mac": false}, "mtu": 1400},
                {"type": "portmap", "capabilities": {"portMappings": true}}]})";
  const auto list = parse_list(text, "");
  ASSERT_TRUE(list.is_ok()) << list.status().to_string();
  EXPECT_EQ(list->name, "db-net.1");
  EXPECT_EQ(list->cni_version, "1.0.0");
  EXPECT_TRUE(list->disable_check && list->disable_gc);
  EXPECT_FALSE(list->load_only_inlined);
  ASSERT_EQ(list->plugins.size(), 2U);
  EXPECT_EQ(list->plugins[0]["mtu"].asInt(), 1400);
  EXPECT_EQ(list->text, text);
  EXPECT_TRUE(list->has_capability("ips"));
  EXPECT_TRUE(list->has_capability("portMappings"));
  EXPECT_FALSE(list->has_capability("mac"));
  EXPECT_FALSE(list->has_capability("dns"));
  // As the specification had it before 1.0.
  EXPECT_TRUE(
      parse_list(R"({"name":"n","disableCheck":"true","plugins":[{"type":"a"}]})", "")->disable_check);
}

TEST(NetworkListTest, ChoosesTheNewestVersionThatBothKnow) {
  EXPECT_EQ(version_of(""), "0.1.0");
  EXPECT_EQ(version_of(R"(,"cniVersion":"")"), "0.1.0");
  EXPECT_EQ(version_of(R"(,"cniVersion":"0.4.0")"), "0.4.0");
  EXPECT_EQ(version_of(R"(,"cniVersion":"0.4.0","cniVersions":["0.3.1","1.0.0"])"), "1.0.0");
  EXPECT_EQ(version_of(R"(,"cniVersions":["1.1.0","7.0.0"])"), "1.1.0");
  EXPECT_EQ(version_of(R"(,"cniVersion":"7.0.0","cniVersions":["0.3.1"])"), "0.3.1");
  EXPECT_EQ(version_of(R"(,"cniVersion":"7.0.0")"),
            "NotImplemented: CNI network: cniVersion 7.0.0 (known are 0.1.0 to 1.1.0)");
}

TEST(NetworkListTest, ASinglePluginIsAListOfOne) {
  const auto list =
      parse_list(R"({"cniVersion":"0.3.1","name":"n","type":"bridge","capabilities":{"ips":true}})", "");
  ASSERT_TRUE(list.is_ok()) << list.status().to_string();
  ASSERT_EQ(list->plugins.size(), 1U);
  EXPECT_EQ(list->plugins[0]["type"].asString(), "bridge");
  EXPECT_TRUE(list->has_capability("ips"));
  const auto again = parse_list(list->text, "");
  ASSERT_TRUE(again.is_ok()) << again.status().to_string();
  EXPECT_EQ(again->name, "n");
  EXPECT_EQ(again->cni_version, "0.3.1");
  EXPECT_EQ(again->plugins[0], list->plugins[0]);
}

TEST(NetworkListTest, TellsWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "CNI network: it is no JSON object"},
      {R"({"plugins":[{"type":"a"}]})", "CNI network: it has no \"name\""},
      {R"({"name":"../x","plugins":[{"type":"a"}]})", "CNI network: \"../x\" cannot be a network's name"},
      {R"({"name":"n","plugins":{}})", "CNI network: \"plugins\" is no array"},
      {R"({"name":"n","plugins":[]})", "CNI network: it has no plugins"},
      {R"({"name":"n"})", "CNI network: it has no plugins"},
      {R"({"name":"n","plugins":[1]})", "CNI network: a plugin that is no object"},
      {R"({"name":"n","plugins":[{}]})", "CNI network: a plugin without a \"type\""},
      {R"({"name":"n","plugins":[{"type":"../sh"}]})",
       "CNI network: the type \"../sh\" cannot be the name of a plugin's file"},
      {R"({"name":"n","plugins":[{"type":".."}]})",
       "CNI network: the type \"..\" cannot be the name of a plugin's file"},
      {R"({"name":"n","plugins":[{"type":"a","capabilities":[]}]})",
       "CNI network: \"a\": \"capabilities\" is no object"},
      {R"({"name":"n","cniVersion":1,"plugins":[{"type":"a"}]})", "CNI network: \"cniVersion\" is no string"},
      {R"({"name":"n","cniVersions":"1","plugins":[{"type":"a"}]})",
       "CNI network: \"cniVersions\" is no array"},
      {R"({"name":"n","disableCheck":"yes","plugins":[{"type":"a"}]})",
       "CNI network: \"disableCheck\" is neither true nor false"},
  };
  for (const auto& [text, message] : cases) {
    const auto list = parse_list(text, "");
    EXPECT_EQ(list.code(), Code::kInvalidArgument) << text;
    EXPECT_EQ(list.status().message(), message) << text;
  }
  EXPECT_EQ(parse_list("{", "").code(), Code::kInvalidArgument);
}

TEST(NetworkListTest, TakesPluginsFromTheFolderOfItsName) {
  const TestFolder folder;
  write(folder.file("net/20-b.conf"), R"({"type":"b"})");
  write(folder.file("net/10-a.conf"), R"({"type":"a","capabilities":{"ips":true}})");
  write(folder.file("net/30-c.txt"), "not a plugin");
  write(folder.file("net.conflist"), R"({"cniVersion":"1.1.0","name":"net","plugins":[{"type":"z"}],"x":1})");
  const auto list = load_list(folder.file("net.conflist"));
  ASSERT_TRUE(list.is_ok()) << list.status().to_string();
  ASSERT_EQ(list->plugins.size(), 3U);
  EXPECT_EQ(list->plugins[0]["type"].asString(), "z");
  EXPECT_EQ(list->plugins[1]["type"].asString(), "a");
  EXPECT_EQ(list->plugins[2]["type"].asString(), "b");
  EXPECT_TRUE(list->has_capability("ips"));
  // What is kept of it needs the folder no more.
  const auto again = parse_list(list->text, folder.path());
  ASSERT_TRUE(again.is_ok());
  EXPECT_EQ(again->plugins, list->plugins);
  EXPECT_TRUE(again->load_only_inlined);

  write(folder.file("net.conflist"),
        R"({"name":"net","loadOnlyInlinedPlugins":true,"plugins":[{"type":"z"}]})");
  EXPECT_EQ(load_list(folder.file("net.conflist"))->plugins.size(), 1U);
  write(folder.file("net.conflist"), R"({"name":"net"})");  // all of them are in the folder
  EXPECT_EQ(load_list(folder.file("net.conflist"))->plugins.size(), 2U);
  write(folder.file("net/10-a.conf"), R"({})");
  EXPECT_EQ(load_list(folder.file("net.conflist")).code(), Code::kInvalidArgument);
}

TEST(NetworkListTest, IsFoundByNameInOrderOfTheFiles) {
  const TestFolder folder;
  write(folder.file("20-x.conflist"), R"({"name":"x","plugins":[{"type":"second"}]})");
  write(folder.file("10-x.conf"), R"({"name":"x","type":"first"})");
  write(folder.file("30-y.json"), R"({"name":"y","type":"third"})");
  write(folder.file("05-x.txt"), R"({"name":"x","type":"no"})");
  EXPECT_EQ(find_list(folder.path(), "x")->plugins[0]["type"].asString(), "first");
  EXPECT_EQ(find_list(folder.path(), "y")->plugins[0]["type"].asString(), "third");
  const auto none = find_list(folder.path(), "z");
  EXPECT_EQ(none.code(), Code::kNotFound);
  EXPECT_EQ(none.status().message(), "no CNI network \"z\" in \"" + folder.path() + "\"");

  write(folder.file("01-bad.conf"), "{");
  EXPECT_EQ(find_list(folder.path(), "x")->plugins[0]["type"].asString(), "first");
  EXPECT_NE(find_list(folder.path(), "z").status().message().find("01-bad.conf"), std::string::npos);
  std::vector<Status> problems;
  EXPECT_EQ(load_folder(folder.path(), &problems).size(), 2U);
  EXPECT_EQ(problems.size(), 1U);
  EXPECT_TRUE(load_folder(folder.file("absent")).empty());
  EXPECT_EQ(find_list(folder.file("absent"), "x").code(), Code::kNotFound);
  EXPECT_EQ(load_list(folder.file("absent")).code(), Code::kNotFound);
}

}  // namespace
}  // namespace pouch::cni
