/// What a `Range` header asks of a body (RFC 9110, section 14).
package enum ByteRange: Equatable, Sendable {
  /// Absent, malformed, of another unit, or of several parts: the whole body is sent.
  case whole
  case part(Range<Int>)
  /// Nothing of the body lies in the range: 416.
  case unsatisfiable

  /// - Parameters:
  ///   - header: the header's value; nil when there is none.
  ///   - size: bytes of the whole body.
  package init(header: String?, size: Int) {
    self = .whole
    guard let header else { return }
    let parts = header.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].lowercased() == "bytes" else { return }
    let bounds = parts[1].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard bounds.count == 2 else { return }
    let first = Self.number(bounds[0])
    let last = Self.number(bounds[1])
    switch (first, last) {
    case (.value(let first), .value(let last)):
      guard first <= last else { return }
      self = first < size ? .part(first..<min(last, size - 1) + 1) : .unsatisfiable
    case (.value(let first), .absent):
      self = first < size ? .part(first..<size) : .unsatisfiable
    case (.absent, .value(let count)):
      self = count > 0 && size > 0 ? .part(max(0, size - count)..<size) : .unsatisfiable
    default: return
    }
  }

  private enum Number {
    case absent
    case malformed
    case value(Int)
  }

  /// Digits only; a number too large for any body counts as the largest.
  private static func number(_ text: Substring) -> Number {
    if text.isEmpty { return .absent }
    guard text.utf8.allSatisfy({ (48...57).contains($0) }) else { return .malformed }
    return .value(Int(text) ?? Int.max - 1)
  }
}
