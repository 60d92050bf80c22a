/// What is still to be fetched of one blob: segments of a fixed size, each in a file of its own
/// that grows from its start, so that any interruption leaves every byte that arrived useful.
package struct DownloadPlan: Hashable, Sendable {
  /// A part of the blob.
  package struct Segment: Hashable, Sendable {
    package var index: Int
    /// The offsets that it covers, in bytes.
    package var range: Range<Int>
    /// Bytes of it that are on disk already.
    package var haveBytes: Int

    /// The offsets still to be fetched; empty when the segment is complete.
    package var missing: Range<Int> { (range.lowerBound + haveBytes)..<range.upperBound }
  }

  /// The blob's size, in bytes.
  package let sizeBytes: Int
  package let segments: [Segment]

  /// Plans the download of `sizeBytes` in segments of `segmentBytes`. `have` tells how many bytes
  /// of a segment are on disk; a segment that is longer than it should be is no use and starts
  /// again.
  package init(sizeBytes: Int, segmentBytes: Int, have: (Int) -> Int) {
    precondition(sizeBytes >= 0 && segmentBytes > 0)
    self.sizeBytes = sizeBytes
    segments = stride(from: 0, to: sizeBytes, by: segmentBytes).enumerated().map { index, start in
      let range = start..<min(sizeBytes, start + segmentBytes)
      let found = have(index)
      return Segment(
        index: index, range: range, haveBytes: (0...range.count).contains(found) ? found : 0)
    }
  }

  /// The segments that are not complete.
  package var incomplete: [Segment] { segments.filter { !$0.missing.isEmpty } }

  /// Bytes still to be fetched.
  package var missingBytes: Int { segments.reduce(0) { $0 + $1.missing.count } }
}

/// The total size in a `Content-Range` header (`bytes 0-99/1234`, or `bytes */1234`), with the
/// range that it names; nil when the header is not of that form.
package struct ContentRange: Hashable, Sendable {
  /// The offsets that the answer carries; nil in an answer without bytes.
  package var range: Range<Int>?
  package var totalBytes: Int

  /// Reads a header's value (RFC 9110, 14.4). Unknown sizes (`*`) are not accepted.
  package init?(_ header: String) {
    let words = header.split(separator: " ")
    guard words.count == 2, words[0] == "bytes" else { return nil }
    let parts = words[1].split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let total = Self.number(parts[1]) else { return nil }
    totalBytes = total
    if parts[0] == "*" { return }
    let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard bounds.count == 2, let first = Self.number(bounds[0]), let last = Self.number(bounds[1]),
      first <= last, last < total
    else { return nil }
    range = first..<(last + 1)
  }

  /// A plain decimal number below 2^62.
  private static func number(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(text),
      value < 1 << 62
    else { return nil }
    return value
  }
}
