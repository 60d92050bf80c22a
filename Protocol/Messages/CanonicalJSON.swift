import Foundation

/// The one spelling of a message as bytes: keys sorted, no white space, slashes unescaped, absent
/// optionals left out.
///
/// A digest of a specification or manifest is taken over these bytes, so values that are digested
/// hold integers, strings, booleans, arrays and objects, never floating-point numbers.
package enum CanonicalJSON {
  /// The canonical bytes of `value`.
  package static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }

  /// Reads a message; throws `DecodingError` with the path of what is wrong.
  package static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value
  {
    try JSONDecoder().decode(type, from: data)
  }
}
