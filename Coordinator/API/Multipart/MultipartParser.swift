import Foundation

/// Reads `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) from chunks of any size.
///
/// A state machine without I/O: `feed` takes the next bytes and returns what they completed. File
/// contents pass through; only a delimiter's length of them is held back, and part headers are
/// bounded.
package struct MultipartParser: Sendable {
  /// What the bytes so far have shown.
  package enum Event: Equatable, Sendable {
    case partBegan(MultipartPart)
    /// Some bytes of the part's content, never empty.
    case bytes(Data)
    case partEnded
  }

  package struct Limits: Sendable {
    /// Bytes of one part's headers.
    package var headerBytes = 8192
    package var parts = 64

    package init(headerBytes: Int = 8192, parts: Int = 64) {
      self.headerBytes = headerBytes
      self.parts = parts
    }
  }

  private enum State {
    /// Before the first delimiter; its bytes are ignored.
    case preamble
    /// After a delimiter: `--`, or white space and a line end.
    case afterDelimiter
    case headers
    case content
    /// After the closing delimiter; the rest is ignored.
    case epilogue
  }

  /// `CRLF--boundary`.
  private let delimiter: [UInt8]
  private let limits: Limits
  private var state = State.preamble
  private var pending: [UInt8]
  private var parts = 0

  /// - Parameter boundary: from the `Content-Type` header, see `MultipartBoundary`.
  package init(boundary: MultipartBoundary, limits: Limits = Limits()) {
    self.delimiter = Array("\r\n--".utf8) + Array(boundary.value.utf8)
    self.limits = limits
    // The first delimiter may stand at the very start, where its line end is missing.
    self.pending = [13, 10]
  }

  /// Takes the next bytes of the body.
  ///
  /// - Throws: `MultipartError`; the parser is of no use afterwards.
  package mutating func feed(_ bytes: some Sequence<UInt8>) throws -> [Event] {
    pending.append(contentsOf: bytes)
    var events: [Event] = []
    var position = 0
    while try step(&position, &events) {}
    pending.removeSubrange(..<position)
    return events
  }

  /// Says that the body has ended; throws unless the closing delimiter was seen.
  package func finish() throws {
    guard case .epilogue = state else { throw MultipartError.truncated }
  }

  /// Consumes something at `position`; false when more bytes are needed.
  private mutating func step(_ position: inout Int, _ events: inout [Event]) throws -> Bool {
    switch state {
    case .preamble:
      let found = find(delimiter, from: position)
      position = found.map { $0 + delimiter.count } ?? keepTail(from: position)
      if found != nil { state = .afterDelimiter }
      return found != nil
    case .afterDelimiter: return try afterDelimiter(&position)
    case .headers: return try headers(&position, &events)
    case .content:
      let found = find(delimiter, from: position)
      let end = found ?? keepTail(from: position)
      if end > position { events.append(.bytes(Data(pending[position..<end]))) }
      position = found.map { $0 + delimiter.count } ?? end
      guard found != nil else { return false }
      events.append(.partEnded)
      state = .afterDelimiter
      return true
    case .epilogue:
      position = pending.count
      return false
    }
  }

  private mutating func afterDelimiter(_ position: inout Int) throws -> Bool {
    guard pending.count - position >= 2 else { return false }
    if pending[position] == UInt8(ascii: "-"), pending[position + 1] == UInt8(ascii: "-") {
      state = .epilogue
      return true
    }
    var end = position
    while end < pending.count, pending[end] == 32 || pending[end] == 9 { end += 1 }
    guard end - position <= 64 else { throw MultipartError.malformedDelimiter }
    guard pending.count - end >= 2 else { return false }
    guard pending[end] == 13, pending[end + 1] == 10 else {
      throw MultipartError.malformedDelimiter
    }
    guard parts < limits.parts else { throw MultipartError.tooManyParts(limit: limits.parts) }
    parts += 1
    // The line end stays: a part without headers begins with an empty line.
    position = end
    state = .headers
    return true
  }

  private mutating func headers(_ position: inout Int, _ events: inout [Event]) throws -> Bool {
    guard let end = find([13, 10, 13, 10], from: position) else {
      guard pending.count - position <= limits.headerBytes else {
        throw MultipartError.headersTooLarge(limit: limits.headerBytes)
      }
      return false
    }
    guard end - position <= limits.headerBytes else {
      throw MultipartError.headersTooLarge(limit: limits.headerBytes)
    }
    let lines = position + 2 <= end ? pending[(position + 2)..<end] : []
    events.append(.partBegan(try MultipartPart(headerLines: Array(lines))))
    position = end + 4
    state = .content
    return true
  }

  /// Where content may be released up to: what follows could be the start of a delimiter.
  private func keepTail(from position: Int) -> Int {
    max(position, pending.count - delimiter.count + 1)
  }

  private func find(_ pattern: [UInt8], from position: Int) -> Int? {
    pending.withUnsafeBytes { haystack in
      pattern.withUnsafeBytes { needle -> Int? in
        guard let first = needle.first, let base = haystack.baseAddress else { return nil }
        var start = position
        while haystack.count - start >= needle.count {
          let span = haystack.count - start - needle.count + 1
          guard let hit = memchr(base + start, Int32(first), span) else { return nil }
          start = base.distance(to: UnsafeRawPointer(hit))
          if haystack[start..<start + needle.count].elementsEqual(needle) { return start }
          start += 1
        }
        return nil
      }
    }
  }
}
