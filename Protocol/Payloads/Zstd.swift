import CZstd
import Foundation

/// Why bytes could not be compressed or expanded.
package enum ZstdError: Error, Hashable, CustomStringConvertible {
  /// libzstd's own words.
  case library(String)
  /// The frame ends early, or bytes follow it.
  case incomplete
  /// The content is larger than the caller allows.
  case tooLarge(limitBytes: Int)

  package var description: String {
    switch self {
    case .library(let message): "zstd: \(message)"
    case .incomplete: "zstd: the data end in the middle of a frame"
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

  /// Expands frames that hold at most `limit` bytes. Memory grows with what is really there, never
  /// with what a header claims.
  ///
  /// - Throws: `ZstdError`.
  package static func decompress(_ data: Data, limit: Int) throws -> Data {
    guard let context = ZSTD_createDCtx() else { throw ZstdError.library("out of memory") }
    defer { ZSTD_freeDCtx(context) }
    // A window above 8 MiB would let a small frame claim much memory.
    try check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23))
    var result = Data()
    var chunk = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    try data.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
      var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
      var remaining = 1
      while input.pos < input.size || remaining != 0 {
        let before = input.pos
        let produced = try chunk.withUnsafeMutableBytes { room in
          var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
          remaining = try check(ZSTD_decompressStream(context, &output, &input))
          return output.pos
        }
        guard result.count + produced <= limit else { throw ZstdError.tooLarge(limitBytes: limit) }
        result.append(contentsOf: chunk[..<produced])
        if produced == 0, input.pos == before, remaining != 0 { throw ZstdError.incomplete }
      }
    }
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
