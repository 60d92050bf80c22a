import CZlib
import Foundation

/// Compresses in gzip's format (RFC 1952).
package enum Gzip {
  /// - Throws: `GzipError`.
  package static func compress(_ bytes: Data) throws(GzipError) -> Data {
    var stream = z_stream()
    guard tally_deflate_init_gzip(&stream, Z_DEFAULT_COMPRESSION) == Z_OK else {
      throw GzipError(code: Z_MEM_ERROR)
    }
    defer { deflateEnd(&stream) }
    var output = Data()
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var input = [UInt8](bytes)
    let status = input.withUnsafeMutableBufferPointer { source in
      buffer.withUnsafeMutableBufferPointer { target in
        stream.next_in = source.baseAddress
        stream.avail_in = UInt32(clamping: source.count)
        while true {
          stream.next_out = target.baseAddress
          stream.avail_out = UInt32(target.count)
          let status = deflate(&stream, Z_FINISH)
          guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
            return status
          }
          output.append(contentsOf: target.prefix(target.count - Int(stream.avail_out)))
          if status == Z_STREAM_END { return status }
        }
      }
    }
    guard status == Z_STREAM_END else { throw GzipError(code: status) }
    return output
  }
}

/// zlib's code of a failure.
package struct GzipError: Error, Hashable, Sendable {
  package var code: Int32
}
