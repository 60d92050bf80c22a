import Foundation

/// The settings between the first two lines of `---` of a model's card, as the Hugging Face hub
/// reads them: of YAML, plain and quoted words at the left margin and lists of them.
struct FrontMatter {
  private let lines: [Substring]

  /// - Parameter text: a whole card; without front matter there are no values.
  init(_ text: String) {
    var rest = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)[...]
    guard rest.popFirst().map(Self.trimmed) == "---",
      let end = rest.firstIndex(where: { Self.trimmed($0) == "---" })
    else {
      lines = []
      return
    }
    lines = Array(rest[..<end])
  }

  /// The first value of `key`.
  func value(_ key: String) -> String? { values(key).first }

  /// The values of `key`: the word after it, the words in brackets, or those of the lines with
  /// dashes below.
  func values(_ key: String) -> [String] {
    guard let index = lines.firstIndex(where: { $0.hasPrefix(key + ":") }) else { return [] }
    let inline = Self.word(lines[index].dropFirst(key.count + 1))
    if inline.hasPrefix("["), inline.hasSuffix("]") {
      return inline.dropFirst().dropLast().split(separator: ",").map(Self.word).filter {
        !$0.isEmpty
      }
    }
    if !inline.isEmpty { return [inline] }
    return lines[(index + 1)...].prefix { Self.trimmed($0).hasPrefix("- ") }
      .map { Self.word(Self.trimmed($0).dropFirst(2)) }.filter { !$0.isEmpty }
  }

  /// Without spaces, quotes and a comment.
  private static func word(_ text: some StringProtocol) -> String {
    let trimmed = trimmed(text)
    if let quote = trimmed.first, quote == "\"" || quote == "'" {
      return String(trimmed.dropFirst().prefix { $0 != quote })
    }
    let end = trimmed.range(of: " #")?.lowerBound ?? trimmed.endIndex
    return Self.trimmed(trimmed[..<end])
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    text.trimmingCharacters(in: .whitespaces)
  }
}
