import Foundation

/// Splits a file into lines, a chunk at a time, so that a file of any size needs one line of
/// memory.
package struct LineReader {
  /// A line, without its end.
  package enum Line: Equatable, Sendable {
    case bytes([UInt8])
    /// Longer than the limit; its bytes were dropped.
    case tooLong
  }

  private let read: @Sendable (_ offset: Int, _ count: Int) async throws -> Data?
  private let maximumLineBytes: Int
  private var chunk: [UInt8] = []
  private var position = 0
  private var atEnd = false
  private var offset = 0

  private static let chunkBytes = 1 << 18

  /// - Parameters:
  ///   - maximumLineBytes: longer lines are reported as such and skipped.
  ///   - read: gives up to `count` bytes at `offset`; nil or nothing at the end.
  package init(
    maximumLineBytes: Int,
    read: @escaping @Sendable (_ offset: Int, _ count: Int) async throws -> Data?
  ) {
    self.maximumLineBytes = maximumLineBytes
    self.read = read
  }

  /// The next line; nil at the end. A last line without an end counts, an empty rest does not.
  /// Dropped are a carriage return before a line end, and a byte order mark at the start of any
  /// line: files with one may have been joined.
  package mutating func next() async throws -> Line? {
    var line: [UInt8] = []
    var started = false
    var dropped = false
    while true {
      if position == chunk.count {
        guard try await refill() else { break }
      }
      started = true
      let end = chunk[position...].firstIndex(of: UInt8(ascii: "\n"))
      let piece = chunk[position..<(end ?? chunk.count)]
      if dropped || line.count + piece.count > maximumLineBytes {
        dropped = true
        line = []
      } else {
        line.append(contentsOf: piece)
      }
      position = end.map { $0 + 1 } ?? chunk.count
      if end != nil { break }
    }
    guard started else { return nil }
    if dropped { return .tooLong }
    if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    return .bytes(line)
  }

  private mutating func refill() async throws -> Bool {
    guard !atEnd else { return false }
    guard let data = try await read(offset, Self.chunkBytes), !data.isEmpty else {
      atEnd = true
      return false
    }
    offset += data.count
    chunk = Array(data)
    position = 0
    return true
  }
}
