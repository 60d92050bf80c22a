import Foundation

/// Looks for what browsers forgive and people then stumble over: elements that are not closed, ids
/// that occur twice, references to nothing, and whatever the content policy would block.
struct HTMLCheck {
  /// What is wrong, in words; empty for a sound page.
  private(set) var problems: [String] = []
  /// The ids, and what refers to ids.
  private(set) var ids: Set<String> = []
  private var references: [(String, String)] = []
  /// What a reader sees, without the tags.
  private(set) var text = ""

  private static let void: Set<String> = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
  ]
  private static let referring: Set<String> = [
    "aria-labelledby", "aria-describedby", "for", "aria-controls",
  ]

  init(_ html: String) {
    var open: [String] = []
    var rest = html[...]
    while let start = rest.firstIndex(of: "<") {
      text += rest[..<start] + " "
      guard let end = Self.end(of: rest[start...]) else {
        problems.append("a tag does not end: \(rest[start...].prefix(60))")
        break
      }
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("!") { continue }
      if tag.hasPrefix("/") {
        let name = tag.dropFirst().lowercased()
        if open.last == name {
          open.removeLast()
        } else {
          problems.append("</\(name)> closes <\(open.last ?? "nothing")>")
        }
        continue
      }
      let name = tag.prefix { !$0.isWhitespace && $0 != "/" }.lowercased()
      attributes(tag.dropFirst(name.count), of: name)
      if !Self.void.contains(name) && !tag.hasSuffix("/") { open.append(name) }
    }
    text += rest
    if !open.isEmpty { problems.append("never closed: \(open)") }
    for (attribute, id) in references where !ids.contains(id) {
      problems.append("\(attribute) names '\(id)', which is not there")
    }
    if text.contains("{{") { problems.append("a template was not filled") }
  }

  /// The end of a tag; a quoted value may hold `>`.
  private static func end(of tag: Substring) -> Substring.Index? {
    var quote: Character?
    for index in tag.indices {
      switch (tag[index], quote) {
      case (let character, let open?) where character == open: quote = nil
      case ("\"", nil), ("'", nil): quote = tag[index]
      case (">", nil): return index
      default: break
      }
    }
    return nil
  }

  private mutating func attributes(_ text: Substring, of element: String) {
    var seen: Set<String> = []
    for match in text.matches(of: /([^\s"'<>\/=]+)(?:\s*=\s*"([^"]*)")?/) {
      let name = match.1.lowercased()
      let value = match.2.map(String.init) ?? ""
      if !seen.insert(name).inserted { problems.append("<\(element)> has '\(name)' twice") }
      if name == "style" || name.hasPrefix("on") {
        problems.append("<\(element)> has '\(name)', which the content policy blocks")
      }
      if name == "href" || name == "action" || name == "src" {
        if value.isEmpty || value.lowercased().hasPrefix("javascript:") {
          problems.append("<\(element)> leads to '\(value)'")
        }
      }
      if name == "id", !ids.insert(value).inserted {
        problems.append("the id '\(value)' occurs twice")
      }
      if Self.referring.contains(name) {
        references += value.split(separator: " ").map { (name, String($0)) }
      }
    }
  }
}
