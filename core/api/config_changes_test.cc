#include "core/api/config_changes.h"

#include <gtest/gtest.h>

namespace pouch {
namespace {

using Words = std::vector<std::string>;

api::ContainerConfig changed(const Words& changes, api::ContainerConfig config = {}) {
  const Status status = apply_config_changes(changes, config);
  EXPECT_TRUE(status.is_ok()) << status.message();
  return config;
}

std::string refusal(const std::string& change) {
  api::ContainerConfig config;
  const Status status = apply_config_changes({change}, config);
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << change;
  return status.message();
}

TEST(ConfigChanges, Commands) {
  EXPECT_EQ(changed({R"(CMD ["a", "b c"])"}).cmd, (Words{"a", "b c"}));
  EXPECT_EQ(changed({"cmd echo $HOME"}).cmd, (Words{"/bin/sh", "-c", "echo $HOME"}));
  EXPECT_EQ(changed({"CMD [broken"}).cmd, (Words{"/bin/sh", "-c", "[broken"}));
  api::ContainerConfig with_cmd;
  with_cmd.cmd = Words{"old"};
  EXPECT_FALSE(changed({R"(ENTRYPOINT ["e"])"}, with_cmd).cmd.has_value());
  EXPECT_EQ(changed({R"(CMD ["new"])", R"(ENTRYPOINT ["e"])"}, with_cmd).cmd, Words{"new"});
}

TEST(ConfigChanges, Pairs) {
  api::ContainerConfig base;
  base.env = Words{"PATH=/bin", "A=1"};
  const api::ContainerConfig config = changed(
      {R"(ENV A=2 B="x y" C=a\ b D='$PATH' E=$PATH:/sbin)", "ENV OLD the rest ${A}", "LABEL k=v"}, base);
  EXPECT_EQ(config.env,
            (Words{"PATH=/bin", "A=2", "B=x y", "C=a b", "D=$PATH", "E=/bin:/sbin", "OLD=the rest 2"}));
  EXPECT_EQ(config.labels->at("k"), "v");
  EXPECT_NE(refusal("ENV A").find("two arguments"), std::string::npos);
  EXPECT_NE(refusal("ENV A=1 B").find("can't find ="), std::string::npos);
  EXPECT_NE(refusal("LABEL k=\"v").find("not closed"), std::string::npos);
}

TEST(ConfigChanges, PortsAndVolumes) {
  const api::ContainerConfig config =
      changed({"EXPOSE 80 53/UDP 8000-8001", "VOLUME /a /b", R"(VOLUME ["/c d"])"});
  const auto has_port = [&](const char* port) { return config.exposed_ports->contains(port); };
  EXPECT_TRUE(has_port("80/tcp") && has_port("53/udp") && has_port("8000/tcp") && has_port("8001/tcp"));
  EXPECT_EQ(config.volumes->size(), 3U);
  for (const char* bad : {"EXPOSE 0", "EXPOSE 70000", "EXPOSE 80/icmp", "EXPOSE 9-8", "EXPOSE x"})
    EXPECT_NE(refusal(bad).find("Invalid containerPort"), std::string::npos);
}

TEST(ConfigChanges, Texts) {
  const api::ContainerConfig config =
      changed({"USER me:us", "STOPSIGNAL SIGINT", "WORKDIR /a", "WORKDIR b/../c", "ONBUILD RUN x"});
  EXPECT_EQ(config.user, "me:us");
  EXPECT_EQ(config.stop_signal, "SIGINT");
  EXPECT_EQ(config.working_dir, "/a/c");
  EXPECT_EQ(config.on_build, Words{"RUN x"});
}

TEST(ConfigChanges, Health) {
  const api::ContainerConfig config = changed({"HEALTHCHECK --interval=1m30s --retries=2 CMD curl x"});
  EXPECT_EQ(config.healthcheck->test, (Words{"CMD-SHELL", "curl x"}));
  EXPECT_EQ(config.healthcheck->interval->ns, 90'000'000'000);
  EXPECT_EQ(config.healthcheck->retries, 2);
  EXPECT_EQ(changed({R"(HEALTHCHECK CMD ["a","b"])"}).healthcheck->test, (Words{"CMD", "a", "b"}));
  EXPECT_EQ(changed({"HEALTHCHECK NONE"}).healthcheck->test, Words{"NONE"});
  refusal("HEALTHCHECK --interval=x CMD y");
  refusal("HEALTHCHECK --colour=red CMD y");
  refusal("HEALTHCHECK RUN y");
}

TEST(ConfigChanges, WhatIsRefused) {
  EXPECT_EQ(refusal("RUN ls"), "run is not a valid change command");
  refusal("");
  refusal("CMD");
  refusal("ONBUILD ONBUILD RUN x");
  refusal("ONBUILD FROM x");
}

}  // namespace
}  // namespace pouch
