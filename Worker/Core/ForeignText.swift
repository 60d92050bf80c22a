/// Text from another machine, such as an operator's message or a worker's name, made safe to show on
/// terminals and in logs.
package enum ForeignText {
  /// Characters that are shown at most.
  package static let limit = 500

  /// One line without control and format characters; nil when nothing is left.
  package static func line(_ text: String?) -> String? {
    guard let text else { return nil }
    // Scalars first: one character may hold any number of them.
    let scalars = text.unicodeScalars.prefix(4 * limit).map { scalar -> Unicode.Scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate,
        .unassigned:
        " "
      default: scalar
      }
    }
    let words = String(String.UnicodeScalarView(scalars)).split(separator: " ", omittingEmptySubsequences: true)
    let line = words.joined(separator: " ").prefix(limit)
    return line.isEmpty ? nil : String(line)
  }
}
