// Plugins that fail, in all ways that there are, and what is left then: nothing, or what can be tried again.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/cni/runtime.h"
#include "core/cni/testing/fake_plugins.h"
#include "core/sys/child.h"

namespace pouch::cni {
namespace {

class FailureTest : public FakePlugins {
 protected:
  FailureTest() {
    answering("one", kAllVersions, kResult);
    answering("three", kAllVersions, kResult);
  }

  /// What ADD answers when the only plugin does this.
  std::string added(const std::string& body) {
    plugin("two", kAllVersions, "[ $CNI_COMMAND = ADD ] || exit 0\n" + body + "\n");
    const auto outcome = runtime_.add(list("1.0.0", {{"two", ""}}), attachment_, soon());
    EXPECT_FALSE(outcome.is_ok());
    EXPECT_EQ(called(), "two:ADD two:DEL");
    EXPECT_TRUE(runtime_.cached("")->empty());
    return outcome.status().to_string();
  }

  NetworkList three() { return list("1.0.0", {{"one", ""}, {"two", ""}, {"three", ""}}); }
};

TEST_F(FailureTest, AFailureInTheMiddleIsUndone) {
  plugin("two", kAllVersions, R"([ $CNI_COMMAND = DEL ] || { echo '{"code":11,"msg":"busy"}'; exit 1; })");
  const auto outcome = runtime_.add(three(), attachment_, soon());
  EXPECT_EQ(outcome.status().to_string(), "Unavailable: two: busy");
  const std::vector<FakeCall> told = calls();
  ASSERT_EQ(told.size(), 5U);
  EXPECT_EQ(told[2].plugin + told[2].command, "threeDEL");
  EXPECT_EQ(told[3].plugin + told[3].command, "twoDEL");
  EXPECT_EQ(told[4].plugin + told[4].command, "oneDEL");
  EXPECT_EQ(told[4].config["prevResult"], *parse_json(kResult));  // as far as it came
  EXPECT_TRUE(runtime_.cached("")->empty());
}

TEST_F(FailureTest, WhatCannotBeUndoneIsKeptForLater) {
  plugin("two", kAllVersions, "exit 1\n");
  EXPECT_FALSE(runtime_.add(three(), attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "one:ADD two:ADD three:DEL two:DEL one:DEL");
  ASSERT_EQ(runtime_.cached("net")->size(), 1U);
  EXPECT_FALSE(runtime_.cached("net")->front().is_complete);
  EXPECT_EQ(runtime_.check(three(), attachment_, soon()).code(), Code::kNotFound);
  EXPECT_FALSE(runtime_.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "three:DEL two:DEL");
  ASSERT_EQ(runtime_.cached("net")->size(), 1U);
  answering("two", kAllVersions, kResult);
  EXPECT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "three:DEL two:DEL one:DEL");
  EXPECT_TRUE(runtime_.cached("")->empty());
}

TEST_F(FailureTest, NothingRunsWhenAPluginIsMissing) {
  const auto outcome = runtime_.add(three(), attachment_, soon());
  EXPECT_EQ(outcome.status().to_string(), "NotFound: CNI plugin \"two\": tried " +
                                              folder_.file("no-such-folder") + ", " +
                                              folder_.file("plugins"));
  EXPECT_EQ(called(), "");
  EXPECT_TRUE(runtime_.cached("")->empty());
}

TEST_F(FailureTest, CodesSayWhoseFaultItIs) {
  const std::pair<int, const char*> cases[] = {
      {1, "NotImplemented"}, {2, "NotImplemented"},  {3, "NotFound"},        {4, "InvalidArgument"},
      {5, "Internal"},       {6, "InvalidArgument"}, {7, "InvalidArgument"}, {11, "Unavailable"},
      {50, "Unavailable"},   {51, "Unavailable"},    {100, "Internal"},
  };
  for (const auto& [code, name] : cases) {
    const std::string answer = R"(echo '{"cniVersion":"1.0.0","code":)" + std::to_string(code) +
                               R"(,"msg":"no","details":"at all"}'; exit 1)";
    EXPECT_EQ(added(answer), std::string(name) + ": two: no: at all");
  }
  EXPECT_EQ(added(R"(echo '{"code":7}'; exit 1)"), "InvalidArgument: two: error 7");
  EXPECT_EQ(added(R"(echo '{"code":7,"msg":"a\u000ab"}' >"$folder/m"; cat "$folder/m"; exit 1)"),
            "InvalidArgument: two: a b");
}

TEST_F(FailureTest, PluginsThatTellNothingUseful) {
  EXPECT_EQ(added("echo first >&2; echo 'at last' >&2; exit 3"), "Internal: two: it ended with 3: at last");
  EXPECT_EQ(added("exit 3"), "Internal: two: it ended with 3 and said nothing");
  EXPECT_EQ(added("echo '[1]'; exit 3"), "Internal: two: it ended with 3 and said nothing");
  EXPECT_EQ(added("kill -9 $$"), "Internal: two: it was ended by signal 9 (SIGKILL)");
  EXPECT_EQ(added("echo '{\"ips\":'").substr(0, 28), "Internal: two: ADD: invalid ");
  EXPECT_EQ(added("exit 0").substr(0, 28), "Internal: two: ADD: invalid ");
  EXPECT_EQ(added("echo '[]'"), "Internal: two: ADD: CNI result: it is no object");
  EXPECT_EQ(added("head -c 2000000 /dev/zero"), "Internal: two: its answer is longer than 1048576 bytes");
  file("plugins/two", "#!/bin/sh\necho '{}'\n", 0700);
  EXPECT_EQ(runtime_.add(list("1.0.0", {{"two", ""}}), attachment_, soon()).status().to_string(),
            "Internal: two: VERSION: it has no \"supportedVersions\"");
}

TEST_F(FailureTest, HangingPluginsEndWithTheCall) {
  // A plugin that has another one do the work.
  plugin("two", kAllVersions,
         "[ $CNI_COMMAND = ADD ] || exit 0\n"
         "sleep 1000 & echo $! >\"$folder/pid.new\"; mv \"$folder/pid.new\" \"$folder/pid\"; wait\n");
  ASSERT_TRUE(runtime_.status(list("1.1.0", {{"one", ""}}), soon()).is_ok());  // the version is known then
  const NetworkList net = list("1.0.0", {{"one", ""}, {"two", ""}});
  const auto cancel = std::make_shared<CancelToken>();
  std::thread canceller = start_thread([&] {
    while (read("pid").empty()) ::usleep(1000);
    cancel->fire();
  });
  Call call = soon();
  call.cancel = cancel;
  EXPECT_EQ(runtime_.add(net, attachment_, call).code(), Code::kCancelled);
  canceller.join();
  const auto is_gone = [&] {
    const int pid = std::stoi(read("pid"));
    const auto pidfd = sys::open_pidfd(pid);
    return !pidfd.is_ok() || sys::wait_pidfd(pidfd->get(), Deadline::after_ms(10'000));
  };
  EXPECT_TRUE(is_gone());
  EXPECT_TRUE(runtime_.cached("")->empty());
  const auto late = runtime_.add(
      net, attachment_, {.deadline = Deadline::after_ms(1'000), .cancel = nullptr, .request_id = {}});
  EXPECT_EQ(late.code(), Code::kDeadlineExceeded) << late.status().to_string();
  EXPECT_TRUE(is_gone());
  EXPECT_TRUE(runtime_.cached("")->empty());
}

TEST_F(FailureTest, APluginThatIsBeingWrittenIsTriedAgain) {
  const NetworkList net = list("1.0.0", {{"one", ""}});
  UniqueFd writer = std::move(*sys::open_file(folder_.file("plugins/one"), O_WRONLY | O_APPEND));
  std::thread closer = start_thread([&] {
    ::usleep(50'000);
    writer.reset();
  });
  const auto outcome = runtime_.add(net, attachment_, soon());
  closer.join();
  EXPECT_TRUE(outcome.is_ok()) << outcome.status().to_string();
}

TEST_F(FailureTest, NamesThatWouldMeanSomethingElse) {
  const NetworkList net = list("1.0.0", {{"one", ""}});
  const auto refused = [&](const Attachment& attachment) {
    EXPECT_EQ(runtime_.del("net", attachment, soon()).code(), Code::kInvalidArgument);
    EXPECT_EQ(runtime_.check(net, attachment, soon()).code(), Code::kInvalidArgument);
    return runtime_.add(net, attachment, soon()).code() == Code::kInvalidArgument;
  };
  for (const char* id : {"", "../c", "-c", "c d", "c/d", "c\n"}) {
    Attachment attachment = attachment_;
    attachment.container_id = id;
    EXPECT_TRUE(refused(attachment)) << id;
  }
  for (const char* name : {"", ".", "..", "a/b", "a:b", "a b", "a\tb", "abcdefghijklmnop"}) {
    Attachment attachment = attachment_;
    attachment.ifname = name;
    EXPECT_TRUE(refused(attachment)) << name;
  }
  const std::map<std::string, std::string> bad_args[] = {
      {{"A;B", "1"}}, {{"A=B", "1"}}, {{"", "1"}}, {{"A", "1;B=2"}}};
  for (const auto& args : bad_args) {
    Attachment attachment = attachment_;
    attachment.args = args;
    EXPECT_TRUE(refused(attachment)) << args.begin()->first;
  }
  Attachment attachment = attachment_;
  attachment.capabilities = Json("text");
  EXPECT_TRUE(refused(attachment));
  attachment = attachment_;
  attachment.netns = "";
  EXPECT_EQ(runtime_.add(net, attachment, soon()).code(), Code::kInvalidArgument);
  EXPECT_TRUE(runtime_.del("net", attachment, soon()).is_ok());
  Runtime relative({folder_.file("plugins"), ""}, folder_.file("results"));
  EXPECT_EQ(relative.add(net, attachment_, soon()).status().to_string(),
            "InvalidArgument: CNI plugins: \"\" is no absolute path");
  EXPECT_EQ(runtime_.del("../net", attachment_, soon()).code(), Code::kInvalidArgument);
  EXPECT_EQ(called(true), "");
}

#ifdef POUCH_FAULTS
TEST_F(FailureTest, AFailureAtAnyPointOfAnAddLeavesNothing) {
  const NetworkList net = list("1.0.0", {{"one", ""}, {"three", ""}});
  for (const char* point :
       {"cni.cache.before 1", "cni.add.before 1", "cni.add.before 2", "cni.cache.before 2"}) {
    const std::string control = "faults " + std::string(point);
    file(control, "fail:EIO * " + std::string(point) + "\n");
    set_fault_file(folder_.file(control));
    const auto outcome = runtime_.add(net, attachment_, soon());
    set_fault_file("");
    EXPECT_FALSE(outcome.is_ok()) << point;
    EXPECT_TRUE(runtime_.cached("")->empty()) << point;
    const std::string told = called();
    EXPECT_TRUE(told.empty() || told.ends_with("three:DEL one:DEL")) << told;
  }
}
#endif

}  // namespace
}  // namespace pouch::cni
