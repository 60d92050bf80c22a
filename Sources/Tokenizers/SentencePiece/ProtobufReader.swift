/// Reads the fields of one message in protobuf's wire format
/// (<https://protobuf.dev/programming-guides/encoding/>). Groups, which no message here has, are
/// refused.
struct ProtobufReader {
  /// A field's value as it travels.
  enum Value {
    case integer(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    /// Places of the message's bytes.
    case bytes(Range<Int>)
  }

  private let bytes: [UInt8]
  private var position: Int
  private let end: Int

  /// - Parameter range: the message's place.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    (self.bytes, position, end) = (bytes, range.lowerBound, range.upperBound)
  }

  /// The next field; nil at the end.
  ///
  /// - Throws: `TokenizerError` for bytes that are no message.
  mutating func next() throws -> (number: Int, value: Value)? {
    guard position < end else { return nil }
    let start = position
    let key = try varint()
    guard let number = Int(exactly: key >> 3), number >= 1, number < 1 << 29 else {
      throw malformed(start, "a field without a number")
    }
    switch key & 7 {
    case 0: return (number, .integer(try varint()))
    case 1: return (number, .fixed64(try fixed(8)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else { throw malformed(start, "cut short") }
      let range = position..<position + Int(length)
      position = range.upperBound
      return (number, .bytes(range))
    case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default: throw malformed(start, "a field of an unknown kind")
    }
  }

  private mutating func varint() throws -> UInt64 {
    let start = position
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw malformed(start, "cut short") }
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw malformed(start, "a number of more than ten bytes")
  }

  private mutating func fixed(_ count: Int) throws -> UInt64 {
    guard end - position >= count else { throw malformed(position, "cut short") }
    defer { position += count }
    return (0..<count).reduce(0) { $0 | UInt64(bytes[position + $1]) << UInt64(8 * $1) }
  }

  private func malformed(_ position: Int, _ reason: String) -> TokenizerError {
    TokenizerError(.malformed, place: "byte \(position)", reason)
  }
}

extension ProtobufReader.Value {
  /// As a flag; nil for another kind.
  var bool: Bool? { integer.map { $0 != 0 } }

  /// As a 32-bit number with a sign; nil for another kind or one that is larger.
  var int: Int? {
    integer.flatMap { Int32(exactly: Int64(bitPattern: $0)) }.map { Int($0) }
  }

  private var integer: UInt64? {
    if case .integer(let value) = self { return value }
    return nil
  }

  var float: Float? {
    if case .fixed32(let bits) = self { return Float(bitPattern: bits) }
    return nil
  }

  var range: Range<Int>? {
    if case .bytes(let range) = self { return range }
    return nil
  }
}
