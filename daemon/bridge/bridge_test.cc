#include "daemon/bridge/bridge.h"

#include <gtest/gtest.h>

namespace pouch::bridge {
namespace {

Json parse(const std::string& text) {
  Result<Json> value = parse_json(text);
  EXPECT_TRUE(value.is_ok()) << value.status().to_string();
  return value.is_ok() ? *value : Json();
}

const api::OpInfo& op(const char* name) {
  return *api::find_operation(name);
}

// One request through the bridge; what comes out, as text.
struct Normalised {
  std::string options;
  std::string config;
  Status status;
};

Normalised normalise(const char* name, int minor, const std::string& options, const std::string& config,
                     const QueryItems& query = {}) {
  Json options_json = parse(options);
  Json config_json = parse(config);
  Normalised out;
  out.status = normalise_request(op(name), minor, query, options_json, config_json);
  out.options = write_json(options_json);
  out.config = write_json(config_json);
  return out;
}

std::string shape(const char* name, int minor, const std::string& result) {
  Json json = parse(result);
  shape_response(op(name), minor, json);
  return write_json(json);
}

struct ConfigCase {
  const char* what;
  const char* op;
  int minor;
  const char* in;
  const char* out;
};

class ConfigTest : public testing::TestWithParam<ConfigCase> {};

TEST_P(ConfigTest, IsNormalised) {
  const ConfigCase& c = GetParam();
  const Normalised got = normalise(c.op, c.minor, "{}", c.in);
  EXPECT_TRUE(got.status.is_ok()) << got.status.to_string();
  EXPECT_EQ(got.config, write_json(parse(c.out))) << c.what;
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigTest,
    testing::Values(
        ConfigCase{"string for a list", "container.create", 50,
                   R"({"Image":"x","Cmd":"top","Entrypoint":"/e"})",
                   R"({"Image":"x","Cmd":["top"],"Entrypoint":["/e"],"HostConfig":{}})"},
        ConfigCase{"no string for other lists", "container.create", 50, R"({"Env":"A=b"})",
                   R"({"Env":"A=b","HostConfig":{}})"},
        ConfigCase{"key case", "container.create", 50, R"({"image":"x","HOSTCONFIG":{"autoremove":true}})",
                   R"({"Image":"x","HostConfig":{"AutoRemove":true}})"},
        ConfigCase{"the exact name wins", "container.create", 50, R"({"Image":"x","image":"y","IMAGE":"z"})",
                   R"({"Image":"x","HostConfig":{}})"},
        ConfigCase{
            "nulls and unknown fields", "container.create", 50,
            R"({"Cmd":null,"Runtime":"runc","VolumesFrom":[],"HostConfig":{"MaskedPaths":null,"Future":1}})",
            R"({"HostConfig":{}})"},
        ConfigCase{
            "nulls in maps and lists", "container.create", 50,
            R"({"ExposedPorts":{"80/tcp":null},"Labels":{"a":null},"HostConfig":{"PortBindings":{"80/tcp":null},"Mounts":[null]}})",
            R"({"ExposedPorts":{"80/tcp":{}},"Labels":{"a":""},"HostConfig":{"PortBindings":{"80/tcp":[]},"Mounts":[{}]}})"},
        ConfigCase{"wrong types stay for the decoder", "container.create", 50,
                   R"({"Tty":"yes","HostConfig":{"Memory":"1"}})",
                   R"({"Tty":"yes","HostConfig":{"Memory":"1"}})"},
        ConfigCase{"console size since 1.42", "container.create", 41,
                   R"({"HostConfig":{"ConsoleSize":[2,3]}})", R"({"HostConfig":{}})"},
        ConfigCase{"console size at 1.42", "container.create", 42, R"({"HostConfig":{"ConsoleSize":[2,3]}})",
                   R"({"HostConfig":{"ConsoleSize":[2,3]}})"},
        ConfigCase{"annotations since 1.43", "container.create", 42,
                   R"({"HostConfig":{"Annotations":{"a":"b"}}})", R"({"HostConfig":{}})"},
        ConfigCase{
            "mount options by version", "container.create", 41,
            R"({"HostConfig":{"Mounts":[{"BindOptions":{"CreateMountpoint":true,"NonRecursive":true}}]}})",
            R"({"HostConfig":{"Mounts":[{"BindOptions":{"NonRecursive":true}}]}})"},
        ConfigCase{
            "flat read-only binds until 1.43", "container.create", 43,
            R"({"HostConfig":{"Binds":["/a:/b:ro,z","/a:/c","v:/d:ro"],"Mounts":[{"Type":"bind","ReadOnly":true},{"Type":"bind"},{"Type":"volume","ReadOnly":true}]}})",
            R"({"HostConfig":{"Binds":["/a:/b:ro-non-recursive,z","/a:/c","v:/d:ro"],"Mounts":[{"BindOptions":{"ReadOnlyNonRecursive":true},"ReadOnly":true,"Type":"bind"},{"Type":"bind"},{"ReadOnly":true,"Type":"volume"}]}})"},
        ConfigCase{
            "recursive read-only binds since 1.44", "container.create", 44,
            R"({"HostConfig":{"Binds":["/a:/b:ro"],"Mounts":[{"Type":"bind","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}}]}})",
            R"({"HostConfig":{"Binds":["/a:/b:ro"],"Mounts":[{"BindOptions":{"ReadOnlyForceRecursive":true},"ReadOnly":true,"Type":"bind"}]}})"},
        ConfigCase{"kernel memory until 1.41", "container.create", 41, R"({"HostConfig":{"KernelMemory":9}})",
                   R"({"HostConfig":{"KernelMemory":9}})"},
        ConfigCase{"no kernel memory later", "container.create", 42, R"({"HostConfig":{"KernelMemory":9}})",
                   R"({"HostConfig":{}})"},
        ConfigCase{"shared ipc by default until 1.39", "container.create", 39,
                   R"({"HostConfig":{"IpcMode":""}})", R"({"HostConfig":{"IpcMode":"shareable"}})"},
        ConfigCase{"exec", "exec.create", 41, R"({"cmd":"ls","ConsoleSize":[1,2],"Detach":true})",
                   R"({"Cmd":["ls"]})"},
        ConfigCase{"exec start", "exec.start", 50, R"({"Detach":false,"Tty":true,"ConsoleSize":null})",
                   R"({"Detach":false,"Tty":true})"}));

TEST(FlatReadOnly, IsHiddenFromTheClientsWhoHaveNothingElse) {
  const char* const container =
      R"({"HostConfig":{"Binds":["/a:/b:ro-non-recursive,z","v:/c:ro"],"Mounts":[{"Type":"bind","BindOptions":{"ReadOnlyNonRecursive":true}},{"Type":"bind","BindOptions":{"NonRecursive":true,"ReadOnlyNonRecursive":true}}]},"Mounts":[{"Mode":"ro-non-recursive,z"}]})";
  const Json old = parse(shape("container.inspect", 43, container));
  EXPECT_EQ(write_json(old["HostConfig"]["Binds"]), R"(["/a:/b:ro,z","v:/c:ro"])");
  EXPECT_EQ(write_json(old["HostConfig"]["Mounts"]),
            R"([{"Type":"bind"},{"BindOptions":{"NonRecursive":true},"Type":"bind"}])");
  EXPECT_EQ(old["Mounts"][0]["Mode"], "ro,z");
  EXPECT_EQ(parse(shape("container.list", 43,
                        R"([{"Mounts":[{"Mode":"ro-non-recursive"}]}])"))[0]["Mounts"][0]["Mode"],
            "ro");
  const Json now = parse(shape("container.inspect", 44, container));
  EXPECT_EQ(now["HostConfig"]["Binds"][0], "/a:/b:ro-non-recursive,z");
  EXPECT_EQ(now["Mounts"][0]["Mode"], "ro-non-recursive,z");
}

TEST(FilterTest, BothFormsBecomeLists) {
  EXPECT_EQ(normalise("container.list", 50, R"({"filters":{"label":{"a=b":true,"c":true}}})", "null").options,
            R"({"filters":{"label":["a=b","c"]}})");
  EXPECT_EQ(normalise("container.list", 50, R"({"filters":{"label":["x"]}})", "null").options,
            R"({"filters":{"label":["x"]}})");
  EXPECT_EQ(normalise("system.events", 50, R"({"filters":null})", "null").options, R"({"filters":{}})");
}

TEST(FilterTest, OtherFormsAreErrors) {
  EXPECT_EQ(normalise("container.list", 50, R"({"filters":["x"]})", "null").status.code(),
            Code::kInvalidArgument);
  EXPECT_EQ(normalise("container.list", 50, R"({"filters":{"label":"x"}})", "null").status.code(),
            Code::kInvalidArgument);
  EXPECT_EQ(normalise("container.list", 50, R"({"filters":{"label":[1]}})", "null").status.code(),
            Code::kInvalidArgument);
}

TEST(FilterTest, OldImageFilterIsAReference) {
  const QueryItems query = {{"filter", "busybox"}};
  EXPECT_EQ(normalise("image.list", 40, "{}", "null", query).options,
            R"({"filters":{"reference":["busybox"]}})");
  EXPECT_EQ(normalise("image.list", 41, "{}", "null", query).options, "{}");
}

TEST(OptionsTest, LaterOptionsAreNotSeen) {
  EXPECT_EQ(normalise("container.stop", 41, R"({"t":3,"signal":"INT"})", "null").options, R"({"t":3})");
  EXPECT_EQ(normalise("container.stop", 42, R"({"signal":"INT"})", "null").options, R"({"signal":"INT"})");
  EXPECT_EQ(normalise("container.wait", 29, R"({"condition":"removed"})", "null").options, "{}");
}

TEST(OptionsTest, LogsNeedAStream) {
  const Normalised none = normalise("container.logs", 50, R"({"follow":true,"stdout":false})", "null");
  EXPECT_EQ(none.status.code(), Code::kInvalidArgument);
  EXPECT_EQ(none.status.message(), "Bad parameters: you must choose at least one stream");
  const Normalised some =
      normalise("container.logs", 50, R"({"stderr":true,"until":"1970-01-01T00:00:00Z"})", "null");
  EXPECT_TRUE(some.status.is_ok());
  EXPECT_EQ(some.options, R"({"stderr":true})");
}

TEST(VersionTest, IsInRange) {
  EXPECT_EQ(check_version("1.41").value(), 41);
  EXPECT_EQ(check_version("1.24").value(), 24);
  EXPECT_EQ(check_version("1.99").status().message(),
            "client version 1.99 is too new. Maximum supported API version is 1.50");
  EXPECT_EQ(check_version("1.23").status().message(),
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your "
            "client to a "
            "newer version");
  EXPECT_FALSE(check_version("2.0").is_ok());
  for (const char* bad : {"1", "1.", ".5", "1.4.1", ""}) EXPECT_FALSE(check_version(bad).is_ok()) << bad;
}

TEST(ResponseTest, VirtualSizeGoesWith144) {
  EXPECT_EQ(parse(shape("image.list", 43, R"([{"Size":7}])"))[0]["VirtualSize"].asInt(), 7);
  EXPECT_FALSE(parse(shape("image.list", 44, R"([{"Size":7,"VirtualSize":7}])"))[0].isMember("VirtualSize"));
}

TEST(ResponseTest, NamelessImages) {
  const std::string old = shape("image.list", 42, R"([{"Size":1,"RepoTags":null,"RepoDigests":[]}])");
  EXPECT_EQ(parse(old)[0]["RepoTags"][0].asString(), "<none>:<none>");
  EXPECT_EQ(parse(old)[0]["RepoDigests"][0].asString(), "<none>@<none>");
  const std::string now = shape("image.list", 43, R"([{"Size":1,"RepoTags":null,"RepoDigests":null}])");
  EXPECT_EQ(write_json(parse(now)[0]["RepoTags"]), "[]");
}

TEST(ResponseTest, ImageInspectByVersion) {
  const char* image = R"({"Id":"sha256:1","Size":1,"Config":{"Cmd":["sh"]},"Descriptor":{"size":1}})";
  const Json v41 = parse(shape("image.inspect", 41, image));
  EXPECT_EQ(v41["Container"].asString(), "");
  EXPECT_TRUE(v41["ContainerConfig"].isObject());
  EXPECT_EQ(v41["Created"].asString(), "0001-01-01T00:00:00Z");
  EXPECT_FALSE(v41["Config"]["Tty"].asBool());
  EXPECT_TRUE(v41["Config"].isMember("Hostname"));
  EXPECT_FALSE(v41.isMember("Descriptor"));
  const Json v50 = parse(shape("image.inspect", 50, image));
  EXPECT_FALSE(v50.isMember("Container"));
  EXPECT_FALSE(v50.isMember("ContainerConfig"));
  EXPECT_EQ(write_json(v50["Config"]), R"({"Cmd":["sh"]})");
  EXPECT_TRUE(v50.isMember("Descriptor"));
}

TEST(ResponseTest, FieldsOfLaterVersions) {
  const char* container =
      R"({"HostConfig":{"Annotations":{"a":"b"}},"NetworkSettings":{"Networks":{"n":{"DNSNames":["x"],"GwPriority":1}}}})";
  for (const int minor : {42, 43, 44, 48}) {
    const Json shaped = parse(shape("container.inspect", minor, container));
    const Json& endpoint = shaped["NetworkSettings"]["Networks"]["n"];
    EXPECT_EQ(shaped["HostConfig"].isMember("Annotations"), minor >= 43) << minor;
    EXPECT_EQ(endpoint.isMember("DNSNames"), minor >= 44) << minor;
    EXPECT_EQ(endpoint.isMember("GwPriority"), minor >= 48) << minor;
  }
}

TEST(MessageTest, EventsGetTheirOldFields) {
  const std::string event =
      R"({"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"busybox"}}})";
  const Json shaped = parse(shape_message(op("system.events"), 50, event));
  EXPECT_EQ(shaped["status"].asString(), "start");
  EXPECT_EQ(shaped["id"].asString(), "c1");
  EXPECT_EQ(shaped["from"].asString(), "busybox");
  const std::string network = R"({"Action":"create","Actor":{"Attributes":null,"ID":"n"},"Type":"network"})";
  EXPECT_EQ(shape_message(op("system.events"), 50, network), network);
}

TEST(MessageTest, WaitHadANullError) {
  EXPECT_EQ(shape_message(op("container.wait"), 41, R"({"StatusCode":3})"),
            R"({"Error":null,"StatusCode":3})");
  EXPECT_EQ(shape_message(op("container.wait"), 42, R"({"StatusCode":3})"), R"({"StatusCode":3})");
}

TEST(ErrorTest, MobysWords) {
  const Json config = parse(R"({"Image":"r.io:5000/busybox"})");
  const auto text = [&](const char* name, const Status& status) {
    return shape_error(&op(name), kMaxMinor, {"abc"}, config, status).message;
  };
  EXPECT_EQ(text("container.inspect", not_found("inspect \"abc\": no such container")),
            "No such container: abc");
  EXPECT_EQ(text("image.inspect", not_found("No such image \"abc\"")), "No such image: abc:latest");
  EXPECT_EQ(text("container.create", not_found("create: no such image")),
            "No such image: r.io:5000/busybox:latest");
  EXPECT_EQ(text("container.start", not_found("start: no such network n1")), "start: no such network n1");
  EXPECT_EQ(shape_error(nullptr, kMaxMinor, {}, config, not_found("page not found")).http_status, 404);
  EXPECT_EQ(shape_error(&op("container.remove"), kMaxMinor, {"a"}, config, conflict("it runs")).http_status,
            409);
}

TEST(ErrorTest, WordsOfTheVersion) {
  const auto text = [](const char* name, int minor, const Status& status) {
    return shape_error(&op(name), minor, {"abc"}, Json(), status).message;
  };
  EXPECT_EQ(text("container.kill", 50, not_found("No such container: abc")),
            "Cannot kill container: abc: No such container: abc");
  EXPECT_EQ(text("image.inspect", 50, not_found("No such image: abc:latest")), "No such image: abc:latest");
  EXPECT_EQ(text("image.inspect", 41, not_found("No such image: abc:latest")),
            "no such image: abc: No such image: abc:latest");
  const Status failed = internal_error("failed to create task for container: no");
  EXPECT_EQ(text("container.start", 50, failed), failed.message());
  EXPECT_EQ(text("container.start", 41, failed), "no");
}

TEST(ErrorTest, LastLines) {
  EXPECT_EQ(stream_error_line(op("image.load"), internal_error("bad")),
            R"({"error":"bad","errorDetail":{"message":"bad"}})");
  EXPECT_EQ(stream_error_line(op("container.wait"), internal_error("bad")),
            R"({"Error":{"Message":"bad"},"StatusCode":-1})");
  EXPECT_EQ(stream_error_line(op("system.events"), internal_error("bad")), "");
}

// Moby's clients ask for all tags by naming none, and import by the same route.
TEST(NormaliseTest, PullsAndImports) {
  const auto options_of = [](const QueryItems& query) -> Result<Json> {
    Json options = json_object();
    for (const auto& [name, value] : query) options[name] = value;
    Json config;
    POUCH_RETURN_IF_ERROR(normalise_request(op("image.pull"), 50, query, options, config));
    return options;
  };
  EXPECT_FALSE(options_of({{"fromImage", "busybox"}, {"tag", "latest"}})->isMember("all-tags"));
  EXPECT_FALSE(options_of({{"fromImage", "busybox:1"}})->isMember("all-tags"));
  EXPECT_FALSE(options_of({{"fromImage", "busybox@sha256:0"}})->isMember("all-tags"));
  EXPECT_TRUE((*options_of({{"fromImage", "busybox"}}))["all-tags"].asBool());
  EXPECT_TRUE((*options_of({{"fromImage", "localhost:5000/busybox"}, {"tag", ""}}))["all-tags"].asBool());
  EXPECT_EQ(options_of({}).code(), Code::kInvalidArgument);
}

TEST(AliasTest, OneImageIsSavedLikeSeveral) {
  const auto target_of = [](std::string path, std::string query) {
    apply_aliases("GET", path, query);
    return path + "?" + query;
  };
  EXPECT_EQ(target_of("/images/a/b:1/get", ""), "/images/get?names=a/b:1");
  EXPECT_EQ(target_of("/images/a%2Bb+c/get", "x=y"), "/images/get?x=y&names=a%2Bb%2Bc");
  EXPECT_EQ(target_of("/images/get", "names=a"), "/images/get?names=a");
  EXPECT_EQ(target_of("/images//get", ""), "/images//get?");
}

TEST(AliasTest, AnImportIsNoPull) {
  std::string path = "/images/create";
  std::string query = "fromSrc=-&repo=x";
  apply_aliases("POST", path, query);
  EXPECT_EQ(path, "/images/import");
  path = "/images/create";
  query = "fromSrc=&fromImage=x";
  apply_aliases("POST", path, query);
  EXPECT_EQ(path, "/images/create");
}

TEST(RequestTest, APushWithoutTagIsOneOfAllTags) {
  Json options = json_object();
  Json config;
  ASSERT_TRUE(normalise_request(op("image.push"), 50, {}, options, config).is_ok());
  EXPECT_TRUE(options["all-tags"].asBool());
  options = json_object();
  options["tag"] = "1";
  options["index"].append("busybox");  // Moby has none: of its clients it is passed over
  ASSERT_TRUE(normalise_request(op("image.push"), 50, {}, options, config).is_ok());
  EXPECT_FALSE(options.isMember("all-tags"));
  EXPECT_FALSE(options.isMember("index"));
}

TEST(RequestTest, VolumesByVersion) {
  Json options = json_object();
  Json config;
  ASSERT_TRUE(normalise_request(op("volume.prune"), 41, {}, options, config).is_ok());
  EXPECT_EQ(write_json(options), R"({"filters":{"all":["true"]}})");
  options = json_object();
  ASSERT_TRUE(normalise_request(op("volume.prune"), 42, {}, options, config).is_ok());
  EXPECT_EQ(write_json(options), "{}");
  const auto create = [](int minor, const char* mount) {
    Json none = json_object();
    Json document = *parse_json(std::string(R"({"HostConfig":{"Mounts":[)") + mount + "]}}");
    const Status status = normalise_request(op("container.create"), minor, {}, none, document);
    return status.is_ok() ? write_json(document["HostConfig"]["Mounts"][0]) : status.message();
  };
  const char* const image = R"({"Source":"x","Target":"/x","Type":"image"})";
  EXPECT_EQ(create(47, image), "Mount type \"Image\" needs API v1.48 or newer");
  EXPECT_EQ(create(48, image), image);
  const char* const subpath = R"({"Target":"/x","VolumeOptions":{"Subpath":"a"}})";
  EXPECT_EQ(create(44, subpath), R"({"Target":"/x","VolumeOptions":{}})");
  EXPECT_EQ(create(45, subpath), subpath);
}

TEST(UnservedTest, SaysWhy) {
  EXPECT_EQ(unserved("POST", "/build").code(), Code::kNotImplemented);
  EXPECT_EQ(unserved("GET", "/containers/a/top").message(), "GET /containers/…/top is not supported");
  EXPECT_EQ(unserved("PUT", "/volumes/v1").message(), "This node is not a swarm manager");
  EXPECT_EQ(unserved("GET", "/plugins/p/json").code(), Code::kNotFound);
  EXPECT_EQ(unserved("GET", "/nodes").code(), Code::kUnavailable);
  for (const char* path : {"", "/", "/nosuch", "/containers", "/build/x/y", "/images/x/nosuch"}) {
    EXPECT_EQ(unserved("GET", path).message(), "page not found") << path;
  }
  EXPECT_EQ(unserved("PUT", "/containers/json").message(), "page not found");
}

TEST(ContentTypeTest, ByVersionAndTerminal) {
  const std::string raw = "application/vnd.docker.raw-stream";
  const std::string mux = "application/vnd.docker.multiplexed-stream";
  EXPECT_EQ(stream_content_type(op("container.attach"), 41, false, true), raw);
  EXPECT_EQ(stream_content_type(op("container.attach"), 42, false, true), mux);
  EXPECT_EQ(stream_content_type(op("container.attach"), 42, true, true), raw);
  EXPECT_EQ(stream_content_type(op("container.attach"), 42, false, false), raw);
  EXPECT_EQ(stream_content_type(op("container.logs"), 41, false, false), "");
  EXPECT_EQ(stream_content_type(op("container.logs"), 42, false, false), mux);
  EXPECT_EQ(stream_content_type(op("system.events"), 41, false, false), "application/json");
}

}  // namespace
}  // namespace pouch::bridge
