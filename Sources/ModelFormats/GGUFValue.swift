/// A metadata value of a GGUF file. Integers of all widths are one case, as are both float widths;
/// arrays of numbers are kept packed, since vocabularies have hundreds of thousands of entries.
package enum GGUFValue: Hashable, Sendable {
  /// `uint8` to `int64`.
  case integer(Int64)
  /// A `uint64` beyond `Int64.max`.
  case unsigned(UInt64)
  /// `float32` or `float64`.
  case double(Double)
  case bool(Bool)
  case string(String)
  case integers([Int64])
  case doubles([Double])
  case bools([Bool])
  case strings([String])
  /// An array of arrays, or of `uint64` of which one exceeds `Int64.max`.
  case array([GGUFValue])

  /// The integer, if it is one that fits.
  package var intValue: Int? {
    if case .integer(let value) = self { Int(value) } else { nil }
  }

  /// The number, also when it is stored as an integer.
  package var doubleValue: Double? {
    switch self {
    case .double(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }

  /// The truth value, if it is one.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The string, if it is one.
  package var stringValue: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The strings of an array of strings.
  package var stringsValue: [String]? {
    if case .strings(let value) = self { value } else { nil }
  }

  /// The integers of an array of integers.
  package var intsValue: [Int]? {
    if case .integers(let value) = self { value.map { Int($0) } } else { nil }
  }

  /// The truth values of an array of them.
  package var boolsValue: [Bool]? {
    if case .bools(let value) = self { value } else { nil }
  }

  /// The numbers of an array, also when they are stored as integers.
  package var doublesValue: [Double]? {
    switch self {
    case .doubles(let value): value
    case .integers(let value): value.map { Double($0) }
    default: nil
    }
  }
}
