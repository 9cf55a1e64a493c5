// Templates, tables and human-readable numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/api.h"
#include "cli/console.h"
#include "cli/format/human.h"
#include "cli/format/json_text.h"
#include "cli/format/listing.h"
#include "cli/format/table.h"
#include "cli/format/template.h"

namespace pouch::cli {
namespace {

using testing::HasSubstr;

constexpr const char* kData = R"({
  "Name": "web", "Pid": 42, "Size": 1.5, "Running": true, "Nothing": null, "Empty": "",
  "Args": ["a", "b c", "d"], "Labels": {"x": "1", "y.z": "2"}, "State": {"Status": "running", "Code": 0},
  "Mounts": [{"Source": "/a", "Destination": "/b"}, {"Source": "/c", "Destination": "/d"}]})";

std::string made(const std::string& text) {
  return Template(text).execute(to_json(kData));
}

std::string problem_of(const std::string& text) {
  try {
    return "no error, but " + made(text);
  } catch (const TemplateError& error) {
    return error.what();
  }
}

TEST(Template, PrintsFields) {
  EXPECT_EQ(made("plain"), "plain");
  EXPECT_EQ(made("{{.Name}}: {{.Pid}} {{.Size}} {{.Running}}"), "web: 42 1.5 true");
  EXPECT_EQ(made("{{.State.Status}} {{ .State.Code }}"), "running 0");
  EXPECT_EQ(made("{{.Args}} {{.Labels}} {{.Nothing}}"), "[a b c d] map[x:1 y.z:2] <nil>");
  EXPECT_EQ(made("{{$.Name}}{{/* nothing */}}"), "web");
  EXPECT_EQ(made(R"({{"}}"}})"), "}}");
}

TEST(Template, TrimsBlanks) {
  EXPECT_EQ(made("a \n {{- .Name -}} \n b"), "awebb");
  EXPECT_EQ(made("{{- -1 }}"), "-1");
}

TEST(Template, CallsFunctions) {
  EXPECT_EQ(made("{{json .Args}} {{json .State}}"), R"(["a","b c","d"] {"Code":0,"Status":"running"})");
  EXPECT_EQ(made(R"({{join .Args ","}} {{len .Args}} {{len .Name}})"), "a,b c,d 3 3");
  EXPECT_EQ(made(R"({{index .Labels "y.z"}}{{index .Labels "no"}}{{index .Args 1}})"), "2b c");
  EXPECT_EQ(made("{{(index .Mounts 1).Source}}"), "/c");
  EXPECT_EQ(made("{{upper .Name}} {{.Name | title}} {{lower \"ABC\"}}"), "WEB Web abc");
  EXPECT_EQ(made(R"({{range split "a:b" ":"}}<{{.}}>{{end}})"), "<a><b>");
  EXPECT_EQ(made("{{pad .Name 1 2}}|{{truncate .Name 2}}|{{slice .Name 1 3}}"), " web  |we|eb");
  EXPECT_EQ(made(R"({{print 1 2 "a" "b"}}|{{println .Name}}|)"), "1 2ab|web\n|");
  EXPECT_EQ(made(R"({{printf "%-5s|%5s|%q|%03d|%v|%.1f|%x|%%" .Name .Name .Name 7 .Args .Size 255}})"),
            R"(web  |  web|"web"|007|[a b c d]|1.5|ff|%)");
  EXPECT_EQ(made(R"({{.Name | printf "%s-%s" "my"}})"), "my-web");
}

TEST(Template, Decides) {
  EXPECT_EQ(made("{{if .Running}}yes{{else}}no{{end}}"), "yes");
  EXPECT_EQ(made("{{if .Empty}}a{{else if .Nothing}}b{{else if .State}}c{{else}}d{{end}}"), "c");
  EXPECT_EQ(made("{{if and (eq .Pid 42) (ne .Name \"x\") (not .Empty)}}yes{{end}}"), "yes");
  EXPECT_EQ(made("{{if or .Empty (lt .Pid 10)}}yes{{else}}no{{end}}"), "no");
  EXPECT_EQ(made("{{eq .Name \"a\" \"web\"}} {{ge .Pid 42}} {{gt .Pid 42}} {{le 1 2}}"),
            "true true false true");
  EXPECT_EQ(made("{{with .State}}{{.Status}} {{$.Name}}{{end}}{{with .Nothing}}a{{else}}b{{end}}"),
            "running webb");
}

TEST(Template, Iterates) {
  EXPECT_EQ(made("{{range .Mounts}}{{.Source}}->{{.Destination}};{{end}}"), "/a->/b;/c->/d;");
  EXPECT_EQ(made("{{range $i, $m := .Mounts}}{{$i}}={{$m.Source}} {{end}}"), "0=/a 1=/c ");
  EXPECT_EQ(made("{{range $k, $v := .Labels}}{{$k}}:{{$v}} {{end}}"), "x:1 y.z:2 ");
  EXPECT_EQ(made("{{range .Nothing}}a{{else}}none{{end}}"), "none");
  EXPECT_EQ(made("{{$n := 0}}{{range .Args}}{{$n = len .}}{{end}}{{$n}}"), "1");
}

// What a document leaves out is false; printing it is a mistake that must be seen.
TEST(Template, AbsentFields) {
  EXPECT_EQ(made("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}"), "none");
  EXPECT_THAT(problem_of("{{.Nome}}"), HasSubstr("<.Nome>: map has no entry for key \"Nome\""));
  EXPECT_THAT(problem_of("{{upper .Nome}}"), HasSubstr("no entry for key \"Nome\""));
  EXPECT_THAT(problem_of("{{.Name.First}}"), HasSubstr("can't evaluate field First"));
  const Template known("{{.Ports}}{{.Left}}");
  EXPECT_EQ(
      known.execute(to_json("{}"), {}, {{"Ports", Json::Value(Json::arrayValue)}, {"Left", Json::Value()}}),
      "[]<nil>");
}

TEST(Template, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(problem_of("{{.Name"), HasSubstr("template: :1: unclosed action"));
  EXPECT_THAT(problem_of("a\n{{foo .Name}}"), HasSubstr("template: :2: function \"foo\" not defined"));
  EXPECT_THAT(problem_of("{{if .Name}}"), HasSubstr("unexpected EOF"));
  EXPECT_THAT(problem_of("{{end}}"), HasSubstr("unexpected {{end}}"));
  EXPECT_THAT(problem_of("{{if}}a{{end}}"), HasSubstr("missing value for if"));
  EXPECT_THAT(problem_of("{{template \"x\"}}"), HasSubstr("{{template}} is not supported"));
  EXPECT_THAT(problem_of("{{}}"), HasSubstr("missing value for command"));
  EXPECT_THAT(problem_of("{{(.Name}}"), HasSubstr("unclosed left paren"));
  EXPECT_THAT(problem_of("{{\"a}}"), HasSubstr("unclosed action"));
  EXPECT_THAT(problem_of("{{$x}}"), HasSubstr("undefined variable \"$x\""));
  EXPECT_THAT(problem_of("{{.Name 1}}"), HasSubstr("can't give argument to non-function"));
  EXPECT_THAT(problem_of("{{len 1 2}}"), HasSubstr("wrong number of arguments for len: 2"));
  EXPECT_THAT(problem_of("{{index .Args 9}}"), HasSubstr("index out of range: 9"));
  EXPECT_THAT(problem_of("{{range .Name}}{{end}}"), HasSubstr("range can't iterate over web"));
  EXPECT_THAT(problem_of("{{printf \"%z\" 1}}"), HasSubstr("%z is not supported"));
  EXPECT_THAT(problem_of("{{printf \"%99999s\" 1}}"), HasSubstr("bad width"));
  EXPECT_THAT(problem_of(std::string(300, '(')), HasSubstr("no error"));
  EXPECT_THAT(problem_of("{{" + std::string(300, '(') + "}}"), HasSubstr("too many parentheses"));
}

TEST(Template, KnowsWhichFieldsItUses) {
  EXPECT_TRUE(Template("{{if .A}}{{upper (.Size)}}{{end}}").uses("Size"));
  EXPECT_FALSE(Template("{{.Name}} Size").uses("Size"));
}

Row row_of(const std::string& id, const std::string& name) {
  Row row;
  row.fields["ID"] = id;
  row.fields["Name"] = name;
  row.methods["Label"] = [](const std::vector<Json::Value>& arguments) { return arguments.at(0); };
  return row;
}

std::string listed(const std::string& format) {
  const Listing listing(format, "{{.ID}}\t{{.Name}}", row_of("THE ID", "NAME"));
  return listing.render({row_of("1", "a"), row_of("a long id for a column", "b\x1b[31m\n")});
}

TEST(Listing, Formats) {
  EXPECT_EQ(listed(""),
            "THE ID                   NAME\n"
            "1                        a\n"
            "a long id for a column   b\\x1b[31m\\x0a\n");
  EXPECT_EQ(listed("table"), listed(""));
  EXPECT_EQ(listed("table {{.Name}}\\t{{.Label \"x\"}}"),
            "NAME            x\na               x\nb\\x1b[31m\\x0a   x\n");
  EXPECT_EQ(
      listed("json"),
      "{\"ID\":\"1\",\"Name\":\"a\"}\n{\"ID\":\"a long id for a column\",\"Name\":\"b\\u001b[31m\\n\"}\n");
  EXPECT_EQ(listed("{{.ID}}-{{len .Name}}"), "1-1\na long id for a column-7\n");
}

TEST(Listing, TellsMistakes) {
  EXPECT_THROW(listed("{{.ID"), Exit);
  EXPECT_THROW(listed("{{.Nothing}}"), Exit);
}

TEST(Table, AlignsByCharacters) {
  EXPECT_EQ(aligned("a\tb\nc\td\n"), "a         b\nc         d\n");
  EXPECT_EQ(aligned("äöüäöüäöü\tb\nc\td"), "äöüäöüäöü   b\nc           d");
}

TEST(Human, Sizes) {
  EXPECT_EQ(human_size(0), "0B");
  EXPECT_EQ(human_size(999), "999B");
  EXPECT_EQ(human_size(1'984'000), "1.98MB");
  EXPECT_EQ(human_size(1'984'000, 4), "1.984MB");
  EXPECT_EQ(human_size(5e12), "5TB");
  EXPECT_EQ(human_bytes(25'275'555'840.0), "23.54GiB");
}

TEST(Human, Durations) {
  const std::pair<int64_t, const char*> cases[] = {
      {-5, "Less than a second"},  {0, "Less than a second"}, {1, "1 second"},
      {59, "59 seconds"},          {60, "About a minute"},    {120, "2 minutes"},
      {3599, "59 minutes"},        {3600, "About an hour"},   {3600 * 47, "47 hours"},
      {3600 * 48, "2 days"},       {86400 * 14, "2 weeks"},   {86400 * 60, "2 months"},
      {86400 * 365 * 2, "2 years"}};
  for (const auto& [seconds, text] : cases) EXPECT_EQ(human_duration(seconds), text) << seconds;
}

TEST(Human, Texts) {
  EXPECT_EQ(short_id("sha256:0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(ellipsis("twenty characters is", 20), "twenty characters is");
  EXPECT_EQ(ellipsis("sh -c 'echo one; echo two'", 20), "sh -c 'echo one; ec…");
  EXPECT_EQ(ellipsis("äöüäöü", 3), "äö…");
  EXPECT_EQ(quoted("a\"b\\c\n\x01"), R"("a\"b\\c\n\x01")");
  EXPECT_EQ(sanitised("ä\x1b\xff\u202e"), R"(ä\x1b\xff\xe2\x80\xae)");
}

TEST(JsonText, IndentsInOrder) {
  EXPECT_EQ(
      indented_json(R"([{"b":1,"a":[],"c":{ },"d":"{,:\"}","e":[1,2]}])"),
      "[\n    {\n        \"b\": 1,\n        \"a\": [],\n        \"c\": {},\n        \"d\": \"{,:\\\"}\",\n"
      "        \"e\": [\n            1,\n            2\n        ]\n    }\n]");
  EXPECT_EQ(indented_json("[]"), "[]");
}

}  // namespace
}  // namespace pouch::cli
