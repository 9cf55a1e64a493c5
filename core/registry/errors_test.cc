#include "core/registry/errors.h"

#include <gtest/gtest.h>

#include "core/registry/upload.h"

namespace pouch::registry {
namespace {

HttpAnswer answer(int status, std::string body = "", std::string challenge = "") {
  HttpAnswer out;
  out.status = status;
  out.body = std::move(body);
  if (!challenge.empty()) out.headers["www-authenticate"] = std::move(challenge);
  return out;
}

std::string pull_error(const HttpAnswer& what, bool has_account = false) {
  return answer_error(what, "team/app", Action::kPull, has_account).to_string();
}

TEST(Errors, InDockersWords) {
  EXPECT_EQ(
      pull_error(answer(
          403, R"({"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]})")),
      "PermissionDenied: pull access denied for team/app, repository does not exist or may require 'docker "
      "login': denied: requested access to the resource is denied");
  EXPECT_EQ(
      pull_error(answer(401, R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})",
                        R"(Bearer realm="https://t",error="insufficient_scope")")),
      "PermissionDenied: pull access denied for team/app, repository does not exist or may require 'docker "
      "login': unauthorized: authentication required");
  EXPECT_EQ(
      pull_error(answer(401, R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})")),
      "Unauthenticated: team/app: unauthorized: authentication required");
  EXPECT_EQ(pull_error(answer(401, "", "Basic realm=x")),
            "Unauthenticated: team/app: no basic auth credentials");
  EXPECT_EQ(pull_error(answer(401, "", "Basic realm=x"), true), "Unauthenticated: team/app: unauthorized");
  EXPECT_EQ(
      pull_error(answer(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})")),
      "NotFound: team/app not found: manifest unknown: manifest unknown");
  EXPECT_EQ(pull_error(answer(404, R"({"errors":[{"code":"NAME_UNKNOWN"}]})")),
            "NotFound: repository team/app not found: name unknown");
  EXPECT_EQ(answer_error(answer(403), "team/app", Action::kPush, true).to_string(),
            "PermissionDenied: push access denied for team/app, repository does not exist or may require "
            "authorization: requested access to the resource is denied");
}

TEST(Errors, ByStatus) {
  const std::pair<int, Code> codes[] = {{400, Code::kInvalidArgument},   {405, Code::kNotImplemented},
                                        {413, Code::kResourceExhausted}, {416, Code::kDataLoss},
                                        {429, Code::kResourceExhausted}, {500, Code::kUnavailable},
                                        {503, Code::kUnavailable},       {418, Code::kUnavailable}};
  for (const auto& [status, code] : codes) {
    EXPECT_EQ(answer_error(answer(status), "a", Action::kPull, false).code(), code) << status;
  }
}

TEST(Errors, ForeignTextIsOneBoundedLine) {
  EXPECT_EQ(pull_error(answer(
                500, "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"a\\nb \\\"c\\\" \\u001b[1m\"}]}")),
            "Unavailable: team/app: the registry answered 500: unknown: a b \"c\"  [1m");
  std::string umlauts;
  for (int i = 0; i < 2'000; ++i) umlauts += "ä";
  const std::string error =
      pull_error(answer(500, R"({"errors":[{"code":"X","message":")" + umlauts + "\"}]}"));
  EXPECT_LT(error.size(), 1'200U);
  EXPECT_TRUE(error.ends_with("ä…"));
  for (const char* body : {"", "<html>", "[]", "{}", R"({"errors":[]})", R"({"errors":["x"]})",
                           R"({"errors":[{"code":5}]})", R"({"errors":{"code":"X"}})"}) {
    EXPECT_EQ(pull_error(answer(500, body)), "Unavailable: team/app: the registry answered 500") << body;
  }
}

TEST(Upload, Ranges) {
  EXPECT_EQ(uploaded_of("0-1023"), 1024);
  EXPECT_EQ(uploaded_of("bytes=0-1023"), 1024);
  EXPECT_EQ(uploaded_of("0-0"), 0);
  for (const char* text : {"", "0-", "1-5", "0--5", "0-5x", "bytes 0-5/6", "0-99999999999999999999"}) {
    EXPECT_EQ(uploaded_of(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pouch::registry
