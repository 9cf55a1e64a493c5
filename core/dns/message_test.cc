#include "core/dns/message.h"

#include <arpa/nameser.h>
#include <gtest/gtest.h>
#include <resolv.h>

#include <cstring>

namespace pouch::dns {
namespace {

using std::string_literals::operator""s;

sys::IpAddress address(const char* text) {
  return *sys::IpAddress::parse(text);
}

// glibc's parser is the judge of what we write.
class Parsed {
 public:
  explicit Parsed(const std::string& bytes) : bytes_(bytes) {
    is_good = ns_initparse(data(), static_cast<int>(bytes_.size()), &handle_) == 0;
  }
  const unsigned char* data() const { return reinterpret_cast<const unsigned char*>(bytes_.data()); }
  int count(ns_sect section) const { return ns_msg_count(handle_, section); }
  int flag(ns_flag which) const { return ns_msg_getflag(handle_, which); }
  ns_rr record(ns_sect section, int number) {
    ns_rr found = {};
    EXPECT_EQ(ns_parserr(&handle_, section, number, &found), 0);
    return found;
  }
  std::string pointer(const ns_rr& record) const {
    std::array<char, NS_MAXDNAME> name{};
    EXPECT_GT(dn_expand(data(), data() + bytes_.size(), ns_rr_rdata(record), name.data(), name.size()), 0);
    return name.data();
  }

  bool is_good = false;

 private:
  const std::string bytes_;
  ns_msg handle_ = {};
};

TEST(DnsMessage, reads_what_glibc_writes) {
  std::array<unsigned char, 512> buffer{};
  const int size = res_mkquery(ns_o_query, "Web.Front", ns_c_in, ns_t_aaaa, nullptr, 0, nullptr,
                               buffer.data(), buffer.size());
  ASSERT_GT(size, 0);
  const std::string bytes(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(size));
  const auto message = read_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->is_response);
  EXPECT_EQ(text_of(message->question.labels), "Web.Front");
  EXPECT_EQ(message->question.type, kTypeAaaa);
  EXPECT_EQ(message->question.klass, kClassIn);
  EXPECT_EQ(message->question.bytes, std::string_view(bytes).substr(12));
}

TEST(DnsMessage, glibc_reads_what_is_written) {
  const std::string bytes = write_query(7, "Web", kTypeA);
  const auto query = read_message(bytes);
  ASSERT_TRUE(query);
  Parsed answer(write_answer(*query, Rcode::kNoError,
                             {address_record(address("10.0.0.1")), address_record(address("10.0.0.2"))},
                             512));
  ASSERT_TRUE(answer.is_good);
  EXPECT_EQ(answer.flag(ns_f_qr), 1);
  EXPECT_EQ(answer.flag(ns_f_rd), 1);
  EXPECT_EQ(answer.flag(ns_f_ra), 1);
  EXPECT_EQ(answer.flag(ns_f_tc), 0);
  EXPECT_EQ(answer.flag(ns_f_rcode), 0);
  ASSERT_EQ(answer.count(ns_s_an), 2);
  const ns_rr second = answer.record(ns_s_an, 1);
  EXPECT_STREQ(ns_rr_name(second), "Web");
  EXPECT_EQ(ns_rr_ttl(second), 600U);
  EXPECT_EQ(std::memcmp(ns_rr_rdata(second), "\x0a\0\0\x02", 4), 0);
  EXPECT_EQ(answer.count(ns_s_ar), 0);
}

TEST(DnsMessage, pointers_and_edns) {
  const std::string bytes = write_query(7, "2.0.0.10.in-addr.arpa", kTypePtr, 4096);
  const auto query = read_message(bytes);
  ASSERT_TRUE(query && query->edns);
  EXPECT_EQ(query->edns->udp_size, 4096);
  EXPECT_EQ(answer_limit(*query, false), 4096U);
  EXPECT_EQ(answer_limit(*query, true), kMaxMessage);
  const auto record = pointer_record("web.front");
  ASSERT_TRUE(record);
  Parsed answer(write_answer(*query, Rcode::kNoError, {*record}, 4096));
  ASSERT_TRUE(answer.is_good);
  EXPECT_EQ(answer.pointer(answer.record(ns_s_an, 0)), "web.front");
  EXPECT_EQ(ns_rr_type(answer.record(ns_s_ar, 0)), ns_t_opt);
  Parsed refused(write_answer(*query, Rcode::kBadVers, {}, 4096));
  EXPECT_EQ(ns_rr_ttl(refused.record(ns_s_ar, 0)), 1U << 24);
  EXPECT_EQ(refused.flag(ns_f_rcode), 0);
}

TEST(DnsMessage, what_does_not_fit_is_left_out_and_told) {
  const std::vector<Record> many(100, address_record(address("fd00::1")));
  for (const auto& [size, limit] :
       {std::pair<std::optional<uint16_t>, size_t>{std::nullopt, 512}, {1232, 1232}}) {
    const std::string bytes = write_query(7, "web", kTypeAaaa, size);
    const auto query = read_message(bytes);
    const std::string text = write_answer(*query, Rcode::kNoError, many, answer_limit(*query, false));
    EXPECT_LE(text.size(), limit);
    EXPECT_GT(text.size() + 28, limit);
    Parsed answer(text);
    ASSERT_TRUE(answer.is_good);
    EXPECT_EQ(answer.flag(ns_f_tc), 1);
    EXPECT_GT(answer.count(ns_s_an), 10);
  }
}

TEST(DnsMessage, names) {
  EXPECT_EQ(text_of({"a", "b"}), "a.b");
  EXPECT_EQ(text_of({}), "");
  EXPECT_EQ(text_of({"a.b"}), std::nullopt);
  EXPECT_EQ(text_of({"a\0"s}), std::nullopt);
  EXPECT_FALSE(pointer_record("a..b"));
  EXPECT_FALSE(pointer_record(std::string(64, 'a')));
  std::string longest;
  for (int i = 0; i < 127; ++i) longest += "a.";
  EXPECT_TRUE(pointer_record(longest));
  EXPECT_FALSE(pointer_record(longest + "a"));
}

TEST(DnsMessage, reverse_names) {
  for (const char* text : {"10.1.2.255", "fd00::abcd:12"}) {
    const std::string bytes = write_query(1, reverse_name(address(text)), kTypePtr);
    const auto query = read_message(bytes);
    ASSERT_TRUE(query);
    const auto found = reverse_address(query->question.labels);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->to_string(), text);
  }
  EXPECT_EQ(reverse_address({"1", "2", "3", "4", "IN-ADDR", "Arpa"})->to_string(), "4.3.2.1");
  for (const char* name :
       {"1.2.3.in-addr.arpa", "1.2.3.256.in-addr.arpa", "1.2.3.x.in-addr.arpa", "1.2.3.4.ip6.arpa",
        "1.2.3.4.in-addr.com", "0.1.2.3.4.in-addr.arpa", "1.2.3.-4.in-addr.arpa"}) {
    const std::string bytes = write_query(1, name, kTypePtr);
    EXPECT_FALSE(reverse_address(read_message(bytes)->question.labels)) << name;
  }
}

TEST(DnsMessage, questions_are_compared_without_case) {
  const std::string one = write_query(1, "Web.A", kTypeA);
  const std::string same = write_query(2, "wEB.a", kTypeA);
  const std::string other = write_query(1, "Web.B", kTypeA);
  const std::string type = write_query(1, "Web.A", kTypeAaaa);
  EXPECT_TRUE(is_same_question(read_message(one)->question, read_message(same)->question));
  EXPECT_FALSE(is_same_question(read_message(one)->question, read_message(other)->question));
  EXPECT_FALSE(is_same_question(read_message(one)->question, read_message(type)->question));
}

// A response with one answer, whose owner is given.
std::string with_owner(const std::string& owner) {
  std::string bytes = write_query(1, "web", kTypeA);
  bytes[2] = '\x81';
  bytes[7] = 1;
  return bytes + owner + "\0\x01\0\x01\0\0\0\0\0\x04"s + "\x0a\0\0\x01"s;
}

TEST(DnsMessage, compression) {
  EXPECT_TRUE(read_message(with_owner("\xc0\x0c")));
  EXPECT_TRUE(read_message(with_owner("\x01x\xc0\x0c")));
  EXPECT_FALSE(read_message(with_owner("\xc0\x15")));       // to itself
  EXPECT_FALSE(read_message(with_owner("\x01x\xc0\x15")));  // to its own beginning
  EXPECT_FALSE(read_message(with_owner("\xc0\x00"s)));      // into the header
  EXPECT_FALSE(read_message(with_owner("\xc0\xff")));       // forwards
  EXPECT_FALSE(read_message(with_owner("\x40")));
  EXPECT_FALSE(read_message(with_owner("\x81")));
}

TEST(DnsMessage, a_long_chain_of_pointers_is_refused) {
  std::string bytes = write_query(1, "web", kTypeA);
  bytes[2] = '\x81';
  bytes[7] = 2;
  std::string data;
  size_t at = bytes.size() + 11;
  size_t before = 12;
  for (int i = 0; i < 100; ++i) {
    data += static_cast<char>(0xc0U | before >> 8);
    data += static_cast<char>(before & 0xff);
    before = at;
    at += 2;
  }
  bytes += "\0\0\x0a\0\x01\0\0\0\0"s + '\0' + static_cast<char>(data.size()) + data;
  bytes += std::string{static_cast<char>(0xc0U | before >> 8), static_cast<char>(before & 0xff)};
  bytes += "\0\x01\0\x01\0\0\0\0\0\0"s;
  EXPECT_FALSE(read_message(bytes));
}

TEST(DnsMessage, what_is_not_well_formed) {
  const std::string good = write_query(0x1234, "web", kTypeA, 1232);
  ASSERT_TRUE(read_message(good));
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(read_message(good.substr(0, size))) << size;
  EXPECT_FALSE(read_message(good + "x"));
  std::string two = good;
  two[5] = 2;
  EXPECT_FALSE(read_message(two));
  std::string twice = good + good.substr(good.size() - 11);
  twice[11] = 2;
  EXPECT_FALSE(read_message(twice));
  EXPECT_FALSE(read_message(std::string(kMaxMessage + 1, '\0')));
  EXPECT_EQ(refuse_format(two), "\x12\x34\x81\x01\0\0\0\0\0\0\0\0"s);
  EXPECT_EQ(refuse_format(good.substr(0, 11)), "");
  std::string response = good;
  response[2] = '\x81';
  EXPECT_EQ(refuse_format(response), "");
}

TEST(DnsMessage, stream) {
  StreamReader reader;
  const std::string bytes = frame("hello") + frame("") + frame("you");
  std::vector<std::string> got;
  for (const char c : bytes) {
    reader.feed(std::string_view(&c, 1));
    while (auto message = reader.next()) got.push_back(*message);
  }
  EXPECT_EQ(got, (std::vector<std::string>{"hello", "", "you"}));
  EXPECT_TRUE(reader.is_empty());
  EXPECT_EQ(frame(std::string(kMaxMessage + 1, 'x')), "");
}

}  // namespace
}  // namespace pouch::dns
