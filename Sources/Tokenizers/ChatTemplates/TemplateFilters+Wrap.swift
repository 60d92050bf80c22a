extension TemplateFilters {
  /// `wordwrap`: each line of a text by Python's `textwrap`.
  static func wrapped(
    _ text: String, _ arguments: BoundArguments, _ limits: TemplateLimits
  ) throws -> String {
    let width = try arguments.integer(0, 79)
    guard width > 0 else { throw TemplateOperators.fail("invalid width \(width) (must be > 0)") }
    let separator = arguments.given(2) == nil ? "\n" : try arguments.text(2)
    let lines = PythonStrings.lines(text, keepsEnds: false).map { line in
      filled(
        chunks(line, atHyphens: arguments[3] == nil || arguments.isTrue(3)), width,
        cutsWords: arguments[1] == nil || arguments.isTrue(1),
        atHyphens: arguments[3] == nil || arguments.isTrue(3)
      ).map { PythonText.string($0) }.joined(separator: separator)
    }
    return try TemplateOperators.joined(lines, separator, limits)
  }

  private typealias Chunk = ArraySlice<Unicode.Scalar>

  /// textwrap breaks lines at ASCII's white space alone.
  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
    scalar == " " || (0x09...0x0D).contains(scalar.value)
  }

  /// Words and the white space between them; with `atHyphens` words are cut after hyphens between
  /// letters, and before and after dashes (textwrap's `wordsep_re`).
  private static func chunks(_ line: String, atHyphens: Bool) -> [Chunk] {
    let scalars = Array(line.unicodeScalars)
    var chunks: [Chunk] = []
    var start = 0
    while start < scalars.count {
      var end = start + 1
      if isBlank(scalars[start]) {
        while end < scalars.count, isBlank(scalars[end]) { end += 1 }
      } else if atHyphens, let dash = dashEnd(scalars, start) {
        end = dash
      } else {
        while end < scalars.count, !isBlank(scalars[end]),
          !(atHyphens && breaks(scalars, start, end))
        {
          end += 1
        }
      }
      chunks.append(scalars[start..<end])
      start = end
    }
    return chunks
  }

  /// The end of a dash that stands between a word and another one.
  private static func dashEnd(_ scalars: [Unicode.Scalar], _ start: Int) -> Int? {
    guard start > 0, isWordPunctuation(scalars[start - 1]) else { return nil }
    let end = scalars[start...].firstIndex { $0 != "-" } ?? scalars.count
    guard end - start >= 2, end < scalars.count, isWordScalar(scalars[end]) else { return nil }
    return end
  }

  private static func isWordPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    isWordScalar(scalar) || "!\"'&.,?".unicodeScalars.contains(scalar)
  }

  /// Whether a word that began at `start` may end before `end`: after a hyphen between letters, or
  /// before a dash.
  private static func breaks(_ scalars: [Unicode.Scalar], _ start: Int, _ end: Int) -> Bool {
    func letter(_ index: Int) -> Bool {
      guard scalars.indices.contains(index) else { return false }
      return scalars[index] == "_" || isLetter(scalars[index])
    }
    if dashEnd(scalars, end) != nil { return true }
    guard scalars[end - 1] == "-", end - 1 > start else { return false }
    let afterLetters =
      (letter(end - 2) && letter(end - 3))
      || (letter(end - 2) && end >= 4 && scalars[end - 3] == "-" && letter(end - 4))
    let beforeLetters =
      letter(end)
      && (letter(end + 1)
        || (end + 2 < scalars.count && scalars[end + 1] == "-" && letter(end + 2)))
    return afterLetters && beforeLetters
  }

  private static func filled(
    _ chunks: [Chunk], _ width: Int, cutsWords: Bool, atHyphens: Bool
  ) -> [[Unicode.Scalar]] {
    func isSpace(_ chunk: Chunk) -> Bool { chunk.allSatisfy(isPythonSpace) }
    var lines: [[Unicode.Scalar]] = []
    var rest = Array(chunks.reversed())
    while !rest.isEmpty {
      var line: [Chunk] = []
      var length = 0
      if !lines.isEmpty, let last = rest.last, isSpace(last) { rest.removeLast() }
      while let chunk = rest.last, length + chunk.count <= width {
        line.append(chunk)
        length += chunk.count
        rest.removeLast()
      }
      if let long = rest.last, long.count > width {
        let free = width - length
        if cutsWords {
          var end = free
          // A hyphen is a better place.
          if atHyphens, long.count > free,
            let hyphen = long.prefix(free).lastIndex(of: "-"), hyphen > long.startIndex,
            long[..<hyphen].contains(where: { $0 != "-" })
          {
            end = hyphen - long.startIndex + 1
          }
          line.append(long.prefix(end))
          rest[rest.count - 1] = long.dropFirst(end)
        } else if line.isEmpty {
          line.append(long)
          rest.removeLast()
        }
      }
      if let last = line.last, isSpace(last) { line.removeLast() }
      if !line.isEmpty { lines.append(Array(line.joined())) }
    }
    return lines
  }
}
