#pragma once

#include <json/value.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// What Docker's flags take, made what the API takes. All throw BadValue (options.h), with Docker's words.
namespace pouch::cli {

/// A number of bytes: "64m", "1.5GiB", "512". Units are powers of 1024.
int64_t parse_bytes(const std::string& text);
/// The same, or -1.
int64_t parse_bytes_or_unlimited(const std::string& text);
/// "1.5" CPUs as 1e-9 CPUs.
int64_t parse_cpus(const std::string& text);
/// "10s" in nanoseconds, not negative.
int64_t parse_span(const std::string& text);
/// "nofile=1024[:2048]" as a Ulimit.
Json::Value parse_ulimit(const std::string& text);
/// "/dev/a[:/dev/b[:rwm]]" as a DeviceMapping.
Json::Value parse_device(const std::string& text);
/// "/dev/a:weight" as a WeightDevice.
Json::Value parse_weight_device(const std::string& text);
/// "/dev/a:rate" as a ThrottleDevice; `in_bytes` allows units.
Json::Value parse_throttle_device(const std::string& text, bool in_bytes);
/// "type=bind,source=/a,target=/b,readonly" as a Mount.
Json::Value parse_mount(const std::string& text);
/// "always", "on-failure[:5]" as a RestartPolicy.
Json::Value parse_restart(const std::string& text);
/// "a=b" in two; `flag` for the message. A value that is not there is "".
std::pair<std::string, std::string> parse_pair(const std::string& text);
/// Environment of --env: "A=b", or "A" with the value it has here.
std::string parse_env(const std::string& text);
/// "filter=value" of --filter.
std::pair<std::string, std::string> parse_filter(const std::string& text);
/// "name:address" of --add-host; "=" may stand for the colon.
std::string parse_extra_host(const std::string& text);
/// "[[ip:]host-port:]container-port[/protocol]", ranges included, into ExposedPorts and PortBindings.
void parse_publish(const std::string& text, Json::Value& exposed, Json::Value& bindings);
/// "net" or "name=net,alias=a,ip=1.2.3.4" of --network: the network's name; the rest into an
/// EndpointSettings.
std::string parse_network(const std::string& text, Json::Value& endpoint);
/// "80[-90][/protocol]" into ExposedPorts.
void parse_expose(const std::string& text, Json::Value& exposed);
/// One --security-opt as the API wants it: seccomp=FILE becomes the profile's text.
std::string parse_security_opt(const std::string& text);
/// "linux/amd64[/v8]" as the text of an OCI platform.
std::string parse_platform(const std::string& text);
/// The lines of an --env-file or --label-file that are not blank or comments, as given. Throws Exit.
std::vector<std::string> read_lines(const std::string& path, bool is_env);

}  // namespace pouch::cli
