/// What is wrong with a file, and where.
///
/// Every reader of this module throws this one type, so that a caller can always say which file,
/// which byte and why. Bytes from outside never trap.
package struct FormatError: Error, Hashable, Sendable {
  /// A bounded label, for metrics and for tests.
  package enum Code: String, Sendable, CaseIterable {
    /// The file cannot be opened, mapped or written.
    case unreadable
    /// The file ends before something that its own header announces.
    case truncated
    /// The bytes are not of this format at all.
    case badMagic
    /// The format's version is one that this reader does not know.
    case badVersion
    /// A part of the file breaks the grammar of the format.
    case malformed
    /// A count, length, depth or dimension exceeds what the reader is willing to accept.
    case limitExceeded
    /// A tensor lies outside the data, overlaps another one, leaves a hole or is misaligned.
    case badLayout
    /// The same key or tensor appears twice.
    case duplicate
    /// The element type is unknown or not supported.
    case badType
    /// A tensor or key that must be there is missing.
    case missing
    /// A value is present and well-formed, but not one that is supported.
    case unsupported
  }

  /// What kind of problem it is.
  package let code: Code
  /// The file's name as the caller gave it.
  package let file: String
  /// The byte in the file at which the problem lies, where one can be named.
  package let offset: UInt64?
  /// What is wrong, for people.
  package let reason: String

  /// An error at byte `offset` of `file`, or about the file as a whole.
  package init(_ code: Code, file: String, offset: UInt64? = nil, reason: String) {
    self.code = code
    self.file = file
    self.offset = offset
    self.reason = reason
  }
}

extension FormatError: CustomStringConvertible {
  /// File, byte and reason in one line.
  package var description: String {
    guard let offset else { return "\(file): \(reason)" }
    return "\(file): at byte \(offset): \(reason)"
  }
}

/// A name or value from a file in quotes, as it may appear in a message; see `excerpt`.
package func quoted(_ text: String, limit: Int = 80) -> String {
  "\"\(excerpt(text, limit: limit))\""
}

/// A text from outside as it may appear in a message: printable, and cut to a bounded length.
package func excerpt(_ text: String, limit: Int = 80) -> String {
  var shown = ""
  for (count, scalar) in text.unicodeScalars.enumerated() {
    if count == limit { return shown + "…" }
    shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "?" : scalar)
  }
  return shown
}
