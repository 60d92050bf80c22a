import CZstd
import Foundation

/// Why bytes could not be compressed or expanded.
package enum ZstdError: Error, Hashable, CustomStringConvertible {
  /// libzstd's own words.
  case library(String)
  /// The frame ends early.
  case incomplete
  /// Bytes, such as another frame, follow the frame.
  case trailing
  /// The content is larger than the caller allows.
  case tooLarge(limitBytes: Int)

  package var description: String {
    switch self {
    case .library(let message): "zstd: \(message)"
    case .incomplete: "zstd: the data end in the middle of a frame"
    case .trailing: "zstd: something follows the frame"
    case .tooLarge(let limit): "zstd: the content is larger than the \(limit) bytes allowed"
    }
  }
}

/// One-shot zstd (RFC 8878) for payloads that fit in memory.
package enum Zstd {
  /// Compresses `data` into one frame that carries its content size and a checksum.
  ///
  /// - Parameters:
  ///   - level: 1 (fast) to 19 (small).
  ///   - repeats: false where nothing but the frequency of bytes can be had, as among weights: then
  ///     looking for repetitions costs time, and those found by chance cost bytes.
  /// - Throws: `ZstdError.library`.
  package static func compress(_ data: Data, level: Int = 3, repeats: Bool = true) throws -> Data {
    guard let context = ZSTD_createCCtx() else { throw ZstdError.library("out of memory") }
    defer { ZSTD_freeCCtx(context) }
    try check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level)))
    try check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1))
    if !repeats {
      try check(
        ZSTD_CCtx_setParameter(context, ZSTD_c_strategy, Int32(bitPattern: ZSTD_fast.rawValue)))
      try check(ZSTD_CCtx_setParameter(context, ZSTD_c_minMatch, 7))
      try check(ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 6))
    }
    var output = Data(count: ZSTD_compressBound(data.count))
    let count = try output.withUnsafeMutableBytes { destination in
      try data.withUnsafeBytes { source in
        try check(
          ZSTD_compress2(
            context, destination.baseAddress, destination.count, source.baseAddress, source.count))
      }
    }
    output.removeSubrange(count...)
    return output
  }

  /// Expands one frame that holds at most `limit` bytes. Memory grows with what is really there,
  /// never with what a header claims.
  ///
  /// - Throws: `ZstdError`.
  package static func decompress(_ data: Data, limit: Int) throws -> Data {
    var rest: Data? = data
    return try decompress(limit: limit) {
      defer { rest = nil }
      return rest
    }
  }

  /// Expands one frame that comes in pieces.
  ///
  /// - Parameter next: the next piece, which is not empty; nil after the last.
  /// - Throws: `ZstdError`, and what `next` throws.
  package static func decompress(limit: Int, next: () throws -> Data?) throws -> Data {
    guard let context = ZSTD_createDCtx() else { throw ZstdError.library("out of memory") }
    defer { ZSTD_freeDCtx(context) }
    // A window above 8 MiB would let a small frame claim much memory.
    try check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23))
    var result = Data()
    var chunk = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    var isComplete = false
    while let piece = try next() {
      try piece.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
        var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
        // What is left to give after the last byte was read fills a chunk.
        var isFull = false
        while input.pos < input.size || isFull {
          guard !isComplete else { throw ZstdError.trailing }
          try chunk.withUnsafeMutableBytes { room in
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            isComplete = try check(ZSTD_decompressStream(context, &output, &input)) == 0
            guard result.count + output.pos <= limit else {
              throw ZstdError.tooLarge(limitBytes: limit)
            }
            result.append(contentsOf: room[..<output.pos])
            isFull = output.pos == output.size && !isComplete
          }
        }
      }
    }
    guard isComplete else { throw ZstdError.incomplete }
    return result
  }

  @discardableResult
  private static func check(_ code: Int) throws -> Int {
    guard ZSTD_isError(code) == 0 else {
      throw ZstdError.library(String(cString: ZSTD_getErrorName(code)))
    }
    return code
  }
}
