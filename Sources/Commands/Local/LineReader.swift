import Foundation

/// Lines of a file or of standard input, one at a time, however long the whole is.
struct LineReader: Sequence, IteratorProtocol {
  private let handle: FileHandle
  private var buffer = Data()
  private var isAtEnd = false
  /// A line longer than this ends the input with an error.
  static let limitBytes = 64 << 20
  /// Why the lines ended early.
  private(set) var failure: String?

  init(_ handle: FileHandle) { self.handle = handle }

  mutating func next() -> Data? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = Data(buffer[buffer.startIndex..<end])
        buffer = Data(buffer[buffer.index(after: end)...])
        return line
      }
      if isAtEnd {
        defer { buffer = Data() }
        return buffer.isEmpty ? nil : buffer
      }
      guard buffer.count <= Self.limitBytes else {
        failure = "a line is longer than \(Self.limitBytes) bytes"
        return nil
      }
      let piece = try? handle.read(upToCount: 1 << 16)
      if let piece, !piece.isEmpty { buffer.append(piece) } else { isAtEnd = true }
    }
  }
}
