/// Reads little-endian values one after another; whatever would pass the end throws.
package struct ByteCursor {
  let bytes: UnsafeRawBufferPointer
  let file: String
  /// Bytes that have been read.
  package private(set) var position = 0

  /// - Parameter file: what errors call the bytes.
  package init(_ bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  /// An error at byte `offset`, or at the next byte to be read.
  package func error(_ code: FormatError.Code, at offset: Int? = nil, _ reason: String)
    -> FormatError
  {
    FormatError(code, file: file, offset: UInt64(offset ?? position), reason: reason)
  }

  /// - Parameter what: what is being read, for the message.
  /// - Throws: `FormatError`.
  package mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ what: String
  ) throws -> T {
    let size = MemoryLayout<T>.size
    guard bytes.count - position >= size else {
      throw error(.truncated, "the file ends inside \(what)")
    }
    let value = bytes.loadUnaligned(fromByteOffset: position, as: T.self)
    position += size
    return T(littleEndian: value)
  }

  /// A `uint64` count of things of which each takes at least `bytesEach` bytes of the rest of the
  /// file.
  package mutating func count(_ what: String, limit: Int, bytesEach: Int) throws -> Int {
    let start = position
    let count = try integer(UInt64.self, "the count of \(what)")
    guard count <= UInt64(limit) else {
      throw error(.limitExceeded, at: start, "\(count) \(what), at most \(limit) are accepted")
    }
    guard Int(count) <= (bytes.count - position) / bytesEach else {
      throw error(
        .truncated, at: start,
        "\(count) \(what) do not fit into the \(bytes.count - position) bytes that follow")
    }
    return Int(count)
  }

  /// A `uint64` length and as many bytes of UTF-8.
  package mutating func string(_ what: String, limit: Int) throws -> String {
    let start = position
    let length = try integer(UInt64.self, "the length of \(what)")
    guard length <= UInt64(limit) else {
      throw error(
        .limitExceeded, at: start, "\(what) of \(length) bytes, at most \(limit) are accepted")
    }
    guard Int(length) <= bytes.count - position else {
      throw error(.truncated, at: start, "\(what) of \(length) bytes passes the end of the file")
    }
    let range = position..<position + Int(length)
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw error(.malformed, at: start, "\(what) is not UTF-8")
    }
    position = range.upperBound
    return text
  }
}
