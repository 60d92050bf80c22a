import Foundation

/// Unicode normalization forms of valid UTF-8.
enum NormalizationForm: String, Sendable {
  case composed = "NFC"
  case decomposed = "NFD"
  case compatibilityComposed = "NFKC"
  case compatibilityDecomposed = "NFKD"

  /// Foundation normalizes about a megabyte a second, so only the stretches that can change go
  /// there: from the character before one that is not inert up to the next inert one.
  func apply(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var position = 0
    /// Where the last inert scalar starts, which a following mark may join.
    var lastInert: Int?
    var copied = 0
    while position < bytes.count {
      let (scalar, length) = decodeScalar(bytes, at: position)
      if isInert(scalar.value) || isTooNew(scalar) {
        lastInert = isTooNew(scalar) ? nil : position
        position += length
        continue
      }
      let start = max(copied, lastInert ?? position)
      while position < bytes.count {
        let (scalar, length) = decodeScalar(bytes, at: position)
        if isInert(scalar.value) || isTooNew(scalar) { break }
        position += length
      }
      result.append(contentsOf: bytes[copied..<start])
      let changed = whole(String(decoding: bytes[start..<position], as: UTF8.self))
      result.append(contentsOf: changed.utf8)
      copied = position
      lastInert = nil
    }
    result.append(contentsOf: bytes[copied...])
    return result
  }

  /// The library's tables are those of Unicode 9: later scalars stand as they are and join nothing.
  private func isTooNew(_ scalar: Unicode.Scalar) -> Bool {
    !UnicodeClasses.isAssigned(scalar.properties, by: 9)
  }

  private func whole(_ text: String) -> String {
    switch self {
    // Foundation does not join a Hangul syllable and the consonant after it unless both come
    // decomposed.
    case .composed: text.decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping
    case .decomposed: text.decomposedStringWithCanonicalMapping
    case .compatibilityComposed:
      text.decomposedStringWithCompatibilityMapping.precomposedStringWithCanonicalMapping
    case .compatibilityDecomposed: text.decomposedStringWithCompatibilityMapping
    }
  }

  /// Whether a scalar never changes, does not combine with what precedes it, and is no mark. Blocks
  /// that texts are made of; the rest takes the slow path. A test compares this with Foundation for
  /// every scalar.
  private func isInert(_ value: UInt32) -> Bool {
    if value < 0x80 { return true }
    switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x1F300...0x1F5FF: return true
    case 0x80...0x2FF, 0x400...0x482, 0x48A...0x52F, 0x3041...0x3096, 0x30A0...0x30FE,
      0xAC00...0xD7A3:
      return self == .composed
    case 0x2010...0x2027, 0x3001...0x3029, 0xFF01...0xFFEE: return self == .composed
    default: return false
    }
  }
}
