import CoordinatorCore
import CoordinatorStore
import Foundation
import WireProtocol

/// The identifiers of licences, by which volunteers choose.
package enum ModelLicence {
  /// A licence that the operator states.
  ///
  /// - Throws: `StoreError.invalid`.
  package static func checked(_ text: String) throws -> String {
    guard let found = identifier(text) else {
      throw StoreError(
        .invalid,
        "A licence has 1 to 64 letters, digits, '.', '_', '+' and '-', such as apache-2.0.")
    }
    return found
  }

  /// A text as an identifier in lower case; nil when it is none.
  package static func identifier(_ text: String) -> String? {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
    let isClean = trimmed.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
        || "._+-".unicodeScalars.contains(scalar)
    }
    guard isClean, (1...64).contains(trimmed.utf8.count), !trimmed.hasPrefix("-"),
      trimmed != WorkChoices.unknownLicence
    else { return nil }
    return trimmed
  }

  /// Of texts that are the same everywhere.
  static func wellKnown(_ text: String) -> String? {
    let beginning = text.prefix(400).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    if beginning.hasPrefix("Apache License Version 2.0") { return "apache-2.0" }
    if beginning.hasPrefix("MIT License") { return "mit" }
    return nil
  }
}
