#include "cli/format/table.h"

#include <algorithm>
#include <vector>

namespace pouch::cli {
namespace {

constexpr size_t kLeastWidth = 10;
constexpr size_t kGap = 3;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (true) {
    const size_t end = text.find(separator, at);
    parts.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return parts;
    at = end + 1;
  }
}

size_t characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

}  // namespace

std::string aligned(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> widths;
  for (const std::string& line : split(text, '\n')) {
    rows.push_back(split(line, '\t'));
    const std::vector<std::string>& cells = rows.back();
    for (size_t i = 0; i + 1 < cells.size(); ++i) {
      if (i == widths.size()) widths.push_back(kLeastWidth);
      widths[i] = std::max(widths[i], characters(cells[i]) + kGap);
    }
  }
  std::string out;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (row > 0) out += '\n';
    for (size_t i = 0; i < rows[row].size(); ++i) {
      const std::string& cell = rows[row][i];
      out += cell;
      if (i + 1 < rows[row].size()) out.append(widths[i] - characters(cell), ' ');
    }
  }
  return out;
}

}  // namespace pouch::cli
