/// GPT-2's printable alphabet for bytes: a byte that is a printable Latin-1 character stands for
/// itself, the others for U+0100 and up in order (`bytes_to_unicode` in the gpt-2 sources).
enum ByteAlphabet {
  /// The UTF-8 encoding of each byte's character, one or two bytes.
  private static let characters: [[UInt8]] = scalars.map { Array($0.utf8) }

  private static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0..<256).map { value in
      switch value {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(value))
      default:
        defer { next += 1 }
        return Unicode.Scalar(next) ?? " "
      }
    }
  }()

  /// By scalar value below 0x144: the byte, or -1.
  private static let bytes: [Int16] = {
    var table = Array(repeating: Int16(-1), count: 0x144)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
    return table
  }()

  /// The same in two flat tables; 0 for no second byte.
  private static let firstBytes = characters.map { $0[0] }
  private static let secondBytes = characters.map { $0.count > 1 ? $0[1] : 0 }

  /// Replaces the bytes of every piece by their characters.
  static func spell(_ text: inout SplitText) {
    let firstBytes = firstBytes
    let secondBytes = secondBytes
    var pieces = text.pieces
    let count = pieces.reduce(0) { $0 + $1.count }
    text.bytes = Array(unsafeUninitializedCapacity: 2 * count) { buffer, count in
      for index in pieces.indices {
        let start = count
        for byte in text.bytes[pieces[index]] {
          buffer[count] = firstBytes[Int(byte)]
          count += 1
          if secondBytes[Int(byte)] != 0 {
            buffer[count] = secondBytes[Int(byte)]
            count += 1
          }
        }
        pieces[index] = start..<count
      }
    }
    text.pieces = pieces
  }

  /// The bytes that a text in this alphabet stands for; nil when a character does not belong to it.
  static func decode(_ text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
      let (scalar, length) = decodeScalar(text, at: position)
      guard scalar.value < bytes.count, bytes[Int(scalar.value)] >= 0 else { return nil }
      result.append(UInt8(bytes[Int(scalar.value)]))
      position += length
    }
    return result
  }
}
