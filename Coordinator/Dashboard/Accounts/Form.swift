import CoordinatorAPI
import HTTPTypes
import Hummingbird

/// The fields of a form that a page sent (`application/x-www-form-urlencoded`).
package struct Form: Sendable {
  /// Bytes of a form at most.
  package static let longest = 4_096

  private let fields: [String: String]

  /// The value of a field; nil when the form has none of this name.
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
    guard let text = String(validating: bytes, as: UTF8.self),
      let fields = try? URLEncodedFormDecoder().decode([String: String].self, from: text),
      // What the decoder puts in the place of bytes that are no UTF-8.
      !fields.values.contains(where: { $0.unicodeScalars.contains("\u{FFFD}") })
    else {
      throw APIError.invalid(
        "The form is malformed: its text is not percent-encoded UTF-8.", code: "invalid_form")
    }
    self.fields = fields
  }
}
