/// A set of code points as sorted, disjoint, non-adjacent closed ranges over 0...0x10FFFF.
struct ScalarSet: Sendable, Equatable {
  private(set) var ranges: [ClosedRange<UInt32>]
  /// A bit for each of the first 128 code points, which most texts consist of.
  private var ascii: [UInt64] = [0, 0]

  static let empty = ScalarSet([])
  static let full = ScalarSet([0...0x10FFFF])

  /// Takes ranges in any order.
  init(_ unsorted: [ClosedRange<UInt32>]) {
    ranges = []
    for range in unsorted.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = ranges.last, range.lowerBound <= last.upperBound &+ 1 {
        let upper = max(last.upperBound, range.upperBound)
        ranges[ranges.count - 1] = last.lowerBound...upper
      } else {
        ranges.append(range)
      }
    }
    for value in UInt32(0)..<128 where isInRanges(value) {
      ascii[Int(value >> 6)] |= 1 << UInt64(value & 63)
    }
  }

  init(_ scalar: Unicode.Scalar) { self.init([scalar.value...scalar.value]) }

  func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

  var inverted: ScalarSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { result.append(next...0x10FFFF) }
    return ScalarSet(result)
  }

  func intersection(_ other: ScalarSet) -> ScalarSet {
    inverted.union(other.inverted).inverted
  }

  func subtracting(_ other: ScalarSet) -> ScalarSet { intersection(other.inverted) }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    let value = scalar.value
    guard value < 128 else { return isInRanges(value) }
    return ascii[Int(value >> 6)] >> UInt64(value & 63) & 1 == 1
  }

  private func isInRanges(_ value: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(value)
  }

  /// The set as the inside of a PCRE2 class: explicit ranges, without the surrogates, which PCRE2
  /// refuses.
  var expression: String {
    var text = ""
    for range in ranges {
      let lower = (0xD800...0xDFFF).contains(range.lowerBound) ? 0xE000 : range.lowerBound
      let upper = (0xD800...0xDFFF).contains(range.upperBound) ? 0xD7FF : range.upperBound
      guard lower <= upper else { continue }
      text += "\\x{\(String(lower, radix: 16))}"
      if upper > lower { text += "-\\x{\(String(upper, radix: 16))}" }
    }
    return text
  }
}
