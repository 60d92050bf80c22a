import Foundation

/// Finds a text in others, in time linear in both (Knuth, Morris and Pratt), where Python does so
/// too.
struct PythonSearch {
  private let needle: [UInt8]
  /// For each length of a match, the longest shorter one that its end also is.
  private let fallbacks: [Int]

  init(_ text: String) { self.init(Array(text.utf8)) }

  private init(_ needle: [UInt8]) {
    self.needle = needle
    var fallbacks = [0, 0]
    var length = 0
    for byte in needle.dropFirst() {
      while length > 0, needle[length] != byte { length = fallbacks[length] }
      if needle[length] == byte { length += 1 }
      fallbacks.append(length)
    }
    self.fallbacks = fallbacks
  }

  static func contains(_ text: String, _ needle: String) -> Bool {
    needle.isEmpty || PythonSearch(needle).first(in: text, 0..<text.utf8.count) != nil
  }

  /// Where the needle, which is not empty, begins for the first time in a range of a text's UTF-8
  /// bytes.
  func first(in text: String, _ range: Range<Int>) -> Int? {
    all(in: text, range, limit: 1).first
  }

  /// The last such place.
  func last(in text: String, _ range: Range<Int>) -> Int? {
    allFromRight(in: text, range, limit: 1).first
  }

  /// The places from the left that do not overlap, at most `limit` of them.
  func all(in text: String, _ range: Range<Int>, limit: Int = Int.max) -> [Int] {
    var text = text
    return text.withUTF8 { all(in: UnsafeBufferPointer(rebasing: $0[range]), limit: limit) }
      .map { $0 + range.lowerBound }
  }

  /// The places from the right that do not overlap, at most `limit` of them, in the text's order.
  func allFromRight(in text: String, _ range: Range<Int>, limit: Int) -> [Int] {
    var text = text
    let reversed = text.withUTF8 { Array($0[range].reversed()) }
    return reversed.withUnsafeBufferPointer { bytes in
      PythonSearch(needle.reversed()).all(in: bytes, limit: limit)
    }.reversed().map { range.upperBound - $0 - needle.count }
  }

  private func all(in bytes: UnsafeBufferPointer<UInt8>, limit: Int) -> [Int] {
    guard let base = bytes.baseAddress else { return [] }
    var found: [Int] = []
    var position = 0
    var matched = 0
    while found.count < limit {
      if matched == needle.count {
        found.append(position - matched)
        matched = 0
      } else if position == bytes.count {
        break
      } else if matched == 0 {
        guard let hit = memchr(base + position, Int32(needle[0]), bytes.count - position) else {
          break
        }
        position = UnsafeRawPointer(hit) - UnsafeRawPointer(base) + 1
        matched = 1
      } else if bytes[position] == needle[matched] {
        position += 1
        matched += 1
      } else {
        matched = fallbacks[matched]
      }
    }
    return found
  }
}
