import ModelFormats

/// What a `Split` or `Replace` looks for: a literal or a regular expression.
enum TextPattern: Sendable {
  case literal([UInt8])
  case expression(SplitPattern)

  /// `{"String": ".."}`, `{"Regex": ".."}` or, in old files, a plain string.
  init(_ json: JSONValue?) throws {
    if let text = json?["String"]?.stringValue ?? json?.stringValue {
      // An empty literal matches between all characters, which is the expression engine's business.
      self = text.isEmpty ? .expression(try SplitPattern("")) : .literal(Array(text.utf8))
    } else if let text = json?["Regex"]?.stringValue {
      self = .expression(try SplitPattern(text))
    } else {
      throw TokenizerError(.malformed, place: "pattern", "neither String nor Regex")
    }
  }

  func matches(in bytes: [UInt8], _ range: Range<Int>) throws -> [Range<Int>] {
    switch self {
    case .literal(let needle): occurrences(of: needle, in: bytes, range)
    case .expression(let pattern): try pattern.matches(in: bytes, range)
    }
  }

  /// `matches` for many pieces in a row.
  func pieceMatcher() -> ([UInt8], Range<Int>) throws -> [Range<Int>] {
    switch self {
    case .literal(let needle): return { occurrences(of: needle, in: $0, $1) }
    case .expression(let pattern):
      let matcher = pattern.matcher()
      return { try pattern.matches(in: $0, $1, with: matcher) }
    }
  }

  func replacing(in bytes: [UInt8], with content: [UInt8]) throws -> [UInt8] {
    let found = try matches(in: bytes, bytes.indices)
    return found.isEmpty ? bytes : Tokenizers.replacing(found, with: content, in: bytes)
  }
}

/// What becomes of the matches of a split (`SplitDelimiterBehavior` of the `tokenizers` library).
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  init(_ json: JSONValue?) throws {
    guard let name = json?.stringValue, let value = SplitBehavior(rawValue: name) else {
      throw TokenizerError(.malformed, place: "behavior", "unknown behavior")
    }
    self = value
  }

  /// Cuts `range` at the given ascending matches.
  ///
  /// - Parameter inverted: the gaps are the matches, and the matches the gaps.
  /// - Returns: the pieces in order, without empty ones.
  func split(_ range: Range<Int>, at matches: [Range<Int>], inverted: Bool = false) -> [Range<Int>]
  {
    if self == .isolated { return isolated(range, matches) }
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    var position = range.lowerBound
    for match in matches {
      if match.lowerBound > position {
        parts.append((position..<match.lowerBound, inverted))
      }
      parts.append((match, !inverted))
      position = match.upperBound
    }
    if position < range.upperBound { parts.append((position..<range.upperBound, inverted)) }
    let pieces: [Range<Int>] =
      switch self {
      case .isolated: []
      case .removed: parts.filter { !$0.isMatch }.map(\.range)
      case .contiguous: merged(parts) { previous, current in previous == current }
      case .mergedWithPrevious: merged(parts) { previous, current in current && !previous }
      case .mergedWithNext:
        merged(parts.reversed()) { previous, current in current && !previous }.reversed()
      }
    return pieces.filter { !$0.isEmpty }
  }

  /// The commonest behaviour, without keeping what is a match: matches and gaps are pieces alike.
  private func isolated(_ range: Range<Int>, _ matches: [Range<Int>]) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    pieces.reserveCapacity(matches.count)
    var position = range.lowerBound
    for match in matches {
      if match.lowerBound > position { pieces.append(position..<match.lowerBound) }
      if !match.isEmpty { pieces.append(match) }
      position = match.upperBound
    }
    if position < range.upperBound { pieces.append(position..<range.upperBound) }
    return pieces
  }

  /// Joins a part to the one before it in the given order where `joins` says so; nothing precedes
  /// the first part, which the library treats as a gap.
  private func merged(
    _ parts: [(range: Range<Int>, isMatch: Bool)], _ joins: (Bool, Bool) -> Bool
  ) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var previous = false
    for part in parts {
      if joins(previous, part.isMatch), let last = result.last {
        result[result.count - 1] =
          min(last.lowerBound, part.range.lowerBound)..<max(last.upperBound, part.range.upperBound)
      } else {
        result.append(part.range)
      }
      previous = part.isMatch
    }
    return result
  }
}
