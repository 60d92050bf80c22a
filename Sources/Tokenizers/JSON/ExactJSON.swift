import Foundation
import ModelFormats

/// JSON for people and their programs, whose keys may be text from outside.
package enum ExactJSON {
  private static let style = JSONStyle(itemSeparator: ",", keySeparator: ":", sortsKeys: true)

  /// The document on one line: keys sorted and never merged, slashes unescaped, absent optionals
  /// left out.
  ///
  /// - Throws: as `JSONValue(encoding:)`.
  package static func encode(_ value: some Encodable) throws -> Data {
    Data(try JSONValue(encoding: value).serialized(style).utf8)
  }
}
