import ModelFormats

/// What is wrong with a tokenizer file, a chat template or a request to them, and where.
package struct TokenizerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A bounded label, for metrics and for tests.
  package enum Code: String, Sendable, CaseIterable {
    /// The file cannot be opened or read.
    case unreadable
    /// The bytes break the grammar of the format.
    case malformed
    /// A count, length or depth exceeds what the reader is willing to accept.
    case limitExceeded
    /// Well-formed, but of a kind that this library does not know.
    case unsupported
    /// A regular expression does not compile, or a match exceeds its limits.
    case expression
    /// A token id or a text that the vocabulary cannot represent.
    case unknownToken
  }

  package let code: Code
  /// The file's name as the caller gave it; empty where no file is involved.
  package let file: String
  /// The path of the member inside the file (`model.merges[3]`) or a byte offset.
  package let place: String
  package let reason: String

  package init(_ code: Code, file: String = "", place: String = "", _ reason: String) {
    self.code = code
    self.file = file
    self.place = place
    self.reason = reason
  }

  /// A format's error in the words of this module.
  init(_ error: FormatError) {
    let code: Code =
      switch error.code {
      case .limitExceeded: .limitExceeded
      case .unreadable: .unreadable
      case .unsupported: .unsupported
      default: .malformed
      }
    self.init(
      code, file: error.file, place: error.offset.map { "byte \($0)" } ?? "", error.reason)
  }

  package var description: String {
    [file, place, reason].filter { !$0.isEmpty }.joined(separator: ": ")
  }

  /// The same error with the name of the file in which it was found.
  package func inFile(_ name: String) -> TokenizerError {
    TokenizerError(code, file: file.isEmpty ? name : file, place: place, reason)
  }

  /// The same error, its place prefixed by the member that holds it.
  package func inMember(_ name: String) -> TokenizerError {
    TokenizerError(code, file: file, place: place.isEmpty ? name : "\(name).\(place)", reason)
  }
}

/// Reads a JSON document as Python's libraries do, which wrote most of these files.
///
/// - Throws: `TokenizerError`.
func parseJSON(_ bytes: [UInt8], file: String = "") throws -> JSONValue {
  do {
    return try JSONReader.parse(bytes, file: file, rules: .lenient)
  } catch let error as FormatError {
    throw TokenizerError(error)
  }
}
