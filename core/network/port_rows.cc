#include "core/network/port_rows.h"

#include <netinet/in.h>

#include <utility>

namespace pouch::network {

using store::Session;
using store::Statement;

namespace {

PortRow read_row(const Statement& found) {
  PortRow row;
  row.container_id = ContainerId(found.text(0));
  row.generation = found.integer(1);
  row.boot_id = found.text(2);
  row.port.protocol = found.text(3);
  row.port.host_address = found.text(4);
  row.port.host_port = static_cast<uint16_t>(found.integer(5));
  row.port.address = found.text(6);
  row.port.port = static_cast<uint16_t>(found.integer(7));
  return row;
}

Result<std::vector<PortRow>> read_all(Statement& find) {
  std::vector<PortRow> rows;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return rows;
    rows.push_back(read_row(find));
  }
}

bool is_v6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

// Of the same protocol and port of the host.
bool overlap(const PublishedPort& one, const PublishedPort& other) {
  const std::string& a = one.host_address;
  const std::string& b = other.host_address;
  if (one.is_direct() || other.is_direct()) return one.is_direct() && other.is_direct() && a == b;
  if (is_v6(a) != is_v6(b)) return false;
  const auto is_all = [](const std::string& address) { return address == "0.0.0.0" || address == "::"; };
  return a == b || is_all(a) || is_all(b);
}

uint8_t number_of(const std::string& protocol) {
  return protocol == "udp" ? IPPROTO_UDP : protocol == "sctp" ? IPPROTO_SCTP : IPPROTO_TCP;
}

Result<sys::PortRule> rule_of(const PublishedPort& port) {
  sys::PortRule rule;
  rule.protocol = number_of(port.protocol);
  POUCH_ASSIGN_OR_RETURN(rule.host, sys::IpAddress::parse(port.host_address));
  POUCH_ASSIGN_OR_RETURN(rule.target, sys::IpAddress::parse(port.address));
  rule.host_port = port.host_port;
  rule.target_port = port.port;
  return rule;
}

}  // namespace

Result<PortUse> use_of_port(Session& session, const std::string& boot, const PublishedPort& port) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT p.container_id, p.generation, p.boot_id, p.protocol, p.host_address, "
                      "p.host_port, p.address, p.port, EXISTS (SELECT 1 FROM containers c WHERE "
                      "c.id = p.container_id AND c.generation = p.generation AND c.boot_id = ?3 AND "
                      "c.state IN ('starting', 'running', 'exiting')) "
                      "FROM published_ports p WHERE p.protocol = ?1 AND p.host_port = ?2"));
  find.bind(port.protocol, int64_t{port.host_port}, boot);
  PortUse use = PortUse::kFree;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return use;
    if (!overlap(read_row(find).port, port)) continue;
    if (find.boolean(8)) return PortUse::kTaken;
    use = PortUse::kEnded;
  }
}

Status insert_port(Session& session, const PortRow& row) {
  return session
      .run(
          "INSERT INTO published_ports(container_id, generation, boot_id, protocol, host_address, host_port, "
          "address, port) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
          row.container_id, row.generation, row.boot_id, row.port.protocol, row.port.host_address,
          int64_t{row.port.host_port}, row.port.address, int64_t{row.port.port})
      .status();
}

Status set_target(Session& session, const PublishedPort& port) {
  return session
      .run(
          "UPDATE published_ports SET address = ?1 WHERE protocol = ?2 AND host_address = ?3 AND host_port = "
          "?4",
          port.address, port.protocol, port.host_address, int64_t{port.host_port})
      .status();
}

Status delete_port(Session& session, const PortRow& row) {
  return session
      .run(
          "DELETE FROM published_ports WHERE protocol = ?1 AND host_port = ?2 AND host_address = ?3 AND "
          "container_id = ?4 AND generation = ?5",
          row.port.protocol, int64_t{row.port.host_port}, row.port.host_address, row.container_id,
          row.generation)
      .status();
}

Status delete_ports(Session& session, const ContainerId& container, int64_t generation) {
  return session
      .run("DELETE FROM published_ports WHERE container_id = ?1 AND generation = ?2", container, generation)
      .status();
}

Result<std::vector<PublishedPort>> ports_of(Session& session, const ContainerId& container,
                                            int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT container_id, generation, boot_id, protocol, host_address, host_port, address, "
                      "port FROM published_ports WHERE container_id = ?1 AND generation = ?2 "
                      // The host's own first: of a routed network only one family may be without.
                      "ORDER BY host_address = address AND host_port = port, protocol, host_port, "
                      "host_address"));
  find.bind(container, generation);
  POUCH_ASSIGN_OR_RETURN(const std::vector<PortRow> rows, read_all(find));
  std::vector<PublishedPort> ports;
  ports.reserve(rows.size());
  for (const PortRow& row : rows) ports.push_back(row.port);
  return ports;
}

Result<std::vector<PortRow>> ended_ports(Session& session, const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT p.container_id, p.generation, p.boot_id, p.protocol, p.host_address, "
                      "p.host_port, p.address, p.port FROM published_ports p WHERE NOT EXISTS "
                      "(SELECT 1 FROM containers c WHERE c.id = p.container_id AND "
                      "c.generation = p.generation AND c.boot_id = ?1 AND "
                      "c.state IN ('starting', 'running', 'exiting'))"));
  find.bind(boot);
  return read_all(find);
}

Result<bool> has_ended_at(Session& session, const std::string& boot, const std::string& address) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find, session.prepare("SELECT 1 FROM published_ports p WHERE p.address = ?1 AND NOT EXISTS "
                                      "(SELECT 1 FROM containers c WHERE c.id = p.container_id AND "
                                      "c.generation = p.generation AND c.boot_id = ?2 AND "
                                      "c.state IN ('starting', 'running', 'exiting')) LIMIT 1"));
  find.bind(address, boot);
  return find.step();
}

Result<std::vector<PortRow>> live_ports(Session& session, const std::string& boot, bool running) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT p.container_id, p.generation, p.boot_id, p.protocol, p.host_address, "
                      "p.host_port, p.address, p.port FROM published_ports p JOIN containers c ON "
                      "c.id = p.container_id AND c.generation = p.generation WHERE c.boot_id = ?1 AND "
                      "c.state IN ('running', 'exiting', CASE WHEN ?2 THEN 'running' ELSE 'starting' END) "
                      "ORDER BY p.container_id"));
  find.bind(boot, running);
  return read_all(find);
}

Result<std::vector<sys::PortRule>> port_rules_of(const std::vector<PublishedPort>& ports) {
  std::vector<sys::PortRule> rules;
  rules.reserve(ports.size());
  for (const PublishedPort& port : ports) {
    if (is_v6(port.host_address) != is_v6(port.address) || port.is_not_ours()) continue;
    POUCH_ASSIGN_OR_RETURN(sys::PortRule rule, rule_of(port));
    rules.push_back(rule);
  }
  return rules;
}

}  // namespace pouch::network
