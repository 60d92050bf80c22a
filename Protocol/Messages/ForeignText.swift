/// Text from another machine or another person, such as an operator's message or a worker's name,
/// made safe to show. Terminals, pages, files of statistics and logs all go through here.
package enum ForeignText {
  /// Characters of a line that are shown at most.
  package static let limit = 500

  /// One line without control and format characters, runs of blanks one space; nil when nothing is
  /// left.
  package static func line(_ text: String?) -> String? {
    guard let text else { return nil }
    // Scalars first: one character may hold any number of them.
    let scalars = text.unicodeScalars.prefix(4 * limit).map { isShown($0) ? $0 : " " }
    let words = String(String.UnicodeScalarView(scalars)).split(
      separator: " ", omittingEmptySubsequences: true)
    let line = words.joined(separator: " ").prefix(limit)
    return line.isEmpty ? nil : String(line)
  }

  /// A text of any length with its blanks as they are, without what a terminal would obey or what
  /// turns the direction of what follows.
  ///
  /// - Parameter keepsLines: whether line feeds and tabs stay; else they are spaces.
  package static func plain(_ text: some StringProtocol, keepsLines: Bool = false) -> String {
    guard text.unicodeScalars.contains(where: { !isPlain($0) }) else { return String(text) }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n", "\t": result.append(keepsLines ? scalar : " ")
      case "\u{2028}", "\u{2029}": result.append(" ")
      default: if isPlain(scalar) { result.append(scalar) }
      }
    }
    return String(result)
  }

  /// A JSON document in which everything that `line(_:)` would leave out is escaped, so that it
  /// shows nothing but itself and reads as the same values.
  package static func json(_ document: String) -> String {
    guard document.unicodeScalars.contains(where: { !isPlain($0) }) else { return document }
    var result = String.UnicodeScalarView()
    for scalar in document.unicodeScalars {
      switch scalar {
      case "\n", "\t", "\r": result.append(scalar)
      default:
        guard !isPlain(scalar) else {
          result.append(scalar)
          continue
        }
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16)
          let escape = "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
          for letter in escape.unicodeScalars { result.append(letter) }
        }
      }
    }
    return String(result)
  }

  private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate,
      .unassigned:
      false
    default: true
    }
  }

  /// Joiners stay in running text: scripts and emoji need them.
  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      ? scalar.value >= 32 && scalar.value != 127
      : isShown(scalar) || scalar == "\u{200C}" || scalar == "\u{200D}"
  }
}
