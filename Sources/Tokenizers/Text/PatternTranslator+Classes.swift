/// Bracketed classes: nested, intersected, and with POSIX names.
extension PatternTranslator {
  /// Reads a class whose `[` is consumed. The negation is handed back rather than computed: under
  /// `(?i)` PCRE2 must add the other case to what is excluded.
  mutating func characterClass() throws -> (ScalarSet, negated: Bool) {
    classDepth += 1
    defer { classDepth -= 1 }
    guard classDepth <= 32 else { throw error("classes nested too deep") }
    var negated = false
    if peek() == "^" {
      negated = true
      position += 1
    }
    var ranges: [ClosedRange<UInt32>] = []
    var intersected: ScalarSet?
    var isFirst = true
    while let scalar = peek() {
      if scalar == "]", !isFirst {
        position += 1
        let set = ScalarSet(ranges)
        return (intersected.map { $0.intersection(set) } ?? set, negated)
      }
      isFirst = false
      if scalar == "&", peek(1) == "&" {
        position += 2
        let set = ScalarSet(ranges)
        intersected = intersected.map { $0.intersection(set) } ?? set
        ranges = []
      } else {
        try classItem(into: &ranges)
      }
    }
    throw error("class does not end")
  }

  private mutating func classItem(into ranges: inout [ClosedRange<UInt32>]) throws {
    if peek() == "[" {
      if let set = try posixClass() {
        ranges += set.ranges
      } else {
        position += 1
        let (set, negated) = try characterClass()
        ranges += (negated ? set.inverted : set).ranges
      }
      return
    }
    if peek() == "\\", let (set, negated) = try classEscape() {
      ranges += (negated ? set.inverted : set).ranges
      return
    }
    let first = try classScalar()
    guard peek() == "-", let next = peek(1), next != "]" else {
      return ranges.append(first.value...first.value)
    }
    let beforeRange = position
    position += 1
    if next == "[" || (next == "\\" && "pPsSdDwWhH".unicodeScalars.contains(peek(1) ?? " ")) {
      // A hyphen before a class stands for itself.
      position = beforeRange
      return ranges.append(first.value...first.value)
    }
    let last = try classScalar()
    guard first.value <= last.value else { throw error("empty range in a class") }
    ranges.append(first.value...last.value)
  }

  private mutating func classScalar() throws -> Unicode.Scalar {
    guard let scalar = peek() else { throw error("class does not end") }
    if scalar == "\\" {
      if peek(1) == "b" {
        position += 2
        return "\u{08}"
      }
      return try scalarEscape()
    }
    position += 1
    return scalar
  }

  /// `[:name:]` or `[:^name:]`; nil, nothing consumed, for anything else.
  private mutating func posixClass() throws -> ScalarSet? {
    guard peek(1) == ":" else { return nil }
    let negated = peek(2) == "^"
    let start = position + (negated ? 3 : 2)
    var end = start
    while end < pattern.count, pattern[end].isASCII, pattern[end].properties.isAlphabetic {
      end += 1
    }
    guard end + 1 < pattern.count, pattern[end] == ":", pattern[end + 1] == "]" else { return nil }
    let name = String(String.UnicodeScalarView(pattern[start..<end]))
    guard let set = UnicodeClasses.property(name) else { throw error("unknown class") }
    position = end + 2
    return negated ? set.inverted : set
  }
}
