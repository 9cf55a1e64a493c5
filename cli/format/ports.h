#pragma once

#include <json/value.h>

#include <string>

namespace pouch::cli {

/// A container's `Ports` as Docker's CLI shows them: neighbours as ranges, and those behind another port of
/// the host last: "80-81/tcp, 0.0.0.0:90->90/tcp, 127.0.0.1:8080->80/tcp".
std::string shown_ports(const Json::Value& ports);

}  // namespace pouch::cli
