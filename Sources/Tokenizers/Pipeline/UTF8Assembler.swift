/// Turns a stream of bytes into text that never splits a character.
///
/// Malformed sequences become U+FFFD, one for each maximal part of a sequence, as Rust's and
/// Python's decoders do.
package struct UTF8Assembler: Sendable {
  /// The beginning of a character, at most three bytes.
  private var tail: [UInt8] = []

  package init() {}

  /// The text that is certain by now.
  package mutating func push(_ bytes: [UInt8]) -> [UInt8] {
    let all = tail + bytes
    let cut = all.count - Self.incompleteSuffix(all)
    tail = Array(all[cut...])
    return Array(String(decoding: all[..<cut], as: UTF8.self).utf8)
  }

  /// What is left at the end of the stream: nothing, or U+FFFD.
  mutating func finish() -> [UInt8] {
    defer { tail = [] }
    return Array(String(decoding: tail, as: UTF8.self).utf8)
  }

  /// How many bytes at the end are the proper beginning of a well-formed sequence (Unicode, table
  /// 3-7).
  static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let start = bytes.count - length
      let lead = bytes[start]
      if lead & 0xC0 == 0x80 { continue }
      let needed = sequenceLength(lead)
      guard needed > length else { return 0 }
      guard length > 1 else { return length }
      let second: ClosedRange<UInt8> =
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return second.contains(bytes[start + 1]) ? length : 0
    }
    return 0
  }
}
