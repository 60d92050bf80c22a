import CoordinatorAPI
import HTTPTypes
import Hummingbird

/// The fields of a form that a page sent (`application/x-www-form-urlencoded`).
package struct Form: Hashable, Sendable {
  /// Bytes of a form at most.
  package static let longest = 4_096

  private var fields: [String: String] = [:]

  /// The first value of a field; nil when the form has none of this name.
  package subscript(name: String) -> String? { fields[name] }

  /// - Throws: `APIError` 413 for a longer body, 400 for one that is no form.
  package init(_ request: Request) async throws {
    var bytes: [UInt8] = []
    for try await piece in request.body {
      guard bytes.count + piece.readableBytes <= Self.longest else {
        throw APIError.tooLarge("A form has at most \(Self.longest) bytes.")
      }
      bytes.append(contentsOf: piece.readableBytesView)
    }
    try self.init(bytes)
  }

  /// - Throws: `APIError` 400.
  package init(_ bytes: [UInt8]) throws {
    for pair in bytes.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(
        separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(parts[0])
      let value = parts.count > 1 ? try Self.decode(parts[1]) : ""
      if fields[name] == nil { fields[name] = value }
    }
  }

  private static func decode(_ bytes: ArraySlice<UInt8>) throws -> String {
    var decoded: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): decoded.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexadecimal),
          let low = rest.popFirst().flatMap(hexadecimal)
        else { throw malformed }
        decoded.append(high << 4 | low)
      default: decoded.append(byte)
      }
    }
    guard let text = String(validating: decoded, as: UTF8.self) else { throw malformed }
    return text
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
  }

  private static let malformed = APIError.invalid(
    "The form is malformed: its text is not percent-encoded UTF-8.", code: "invalid_form")
}
