import Foundation
import ModelFormats

/// SentencePiece's compiled normalization rules: a Darts double-array trie from character sequences
/// to offsets of replacement strings (`precompiled_charsmap`: uint32 bytes of the trie, the trie as
/// little-endian uint32 units, then strings that end with 0).
struct PrecompiledMap: Sendable {
  private let units: [UInt32]
  private let strings: [UInt8]

  /// Throws: `TokenizerError` when the map is cut short or not base64.
  init(_ json: JSONValue) throws {
    guard let text = json["precompiled_charsmap"]?.stringValue, let data = Data(base64Encoded: text)
    else { throw TokenizerError(.malformed, place: "precompiled_charsmap", "not base64") }
    try self.init(bytes: Array(data))
  }

  /// Throws: `TokenizerError` when the map is cut short.
  init(bytes: [UInt8]) throws {
    func word(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }
    guard bytes.count >= 4 else {
      throw TokenizerError(.malformed, place: "precompiled_charsmap", "cut short")
    }
    let trieBytes = Int(word(0))
    guard trieBytes % 4 == 0, 4 + trieBytes <= bytes.count else {
      throw TokenizerError(.malformed, place: "precompiled_charsmap", "cut short")
    }
    units = stride(from: 4, to: 4 + trieBytes, by: 4).map(word)
    strings = Array(bytes[(4 + trieBytes)...])
  }

  func apply(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for character in String(decoding: bytes, as: UTF8.self) {
      let cluster = Array(character.utf8)
      if cluster.count < 6, let replacement = replacement(of: cluster) {
        result.append(contentsOf: replacement)
        continue
      }
      for scalar in character.unicodeScalars {
        let encoded = Array(scalar.utf8)
        result.append(contentsOf: replacement(of: encoded) ?? encoded)
      }
    }
    return result
  }

  /// The string of the longest key that the text goes on with at a place, and the key's length, as
  /// SentencePiece itself has it; nil without one.
  func longestReplacement(in text: [UInt8], at start: Int) -> (part: [UInt8], length: Int)? {
    guard let root = units.first else { return nil }
    var node = Self.offset(root)
    var found: (part: [UInt8], length: Int)?
    for (index, byte) in text[start...].enumerated() {
      guard byte != 0 else { break }
      node ^= Int(byte)
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(byte) else { break }
      let unit = units[node]
      node ^= Self.offset(unit)
      guard (unit >> 8) & 1 == 1 else { continue }
      guard node < units.count, let part = string(units[node]) else { break }
      found = (part, index + 1)
    }
    return found
  }

  /// The string that a leaf points at; nil beyond their end.
  private func string(_ leaf: UInt32) -> [UInt8]? {
    let start = Int(leaf & 0x7FFF_FFFF)
    guard start < strings.count else { return nil }
    return Array(strings[start...].prefix { $0 != 0 })
  }

  /// The string of the shortest prefix that the trie holds, as the library has it; nil without one.
  private func replacement(of key: [UInt8]) -> [UInt8]? {
    guard let root = units.first else { return nil }
    var node = Self.offset(root)
    for byte in key {
      guard byte != 0 else { return nil }
      node ^= Int(byte)
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(byte) else { return nil }
      let unit = units[node]
      node ^= Self.offset(unit)
      guard (unit >> 8) & 1 == 1 else { continue }
      return node < units.count ? string(units[node]) : nil
    }
    return nil
  }

  /// Darts-clone: the distance from a node to its children.
  private static func offset(_ unit: UInt32) -> Int {
    Int((unit >> 10) << ((unit & (1 << 9)) >> 6))
  }
}
