import CoordinatorStore
import HTTPTypes
import Hummingbird
import NIOCore
import WireProtocol

/// Sends a blob, whole or in part, without holding more than a piece of it.
package enum BlobResponse {
  private static let pieceBytes = 256 * 1024

  /// 200, 206 or 416.
  ///
  /// - Parameter size: bytes of the blob.
  package static func make(
    blobs: any BlobStore, digest: Digest, size: Int, request: Request, contentType: String
  ) -> Response {
    var headers: HTTPFields = [.contentType: contentType, .acceptRanges: "bytes"]
    switch ByteRange(header: request.headers[.range], size: size) {
    case .whole:
      return Response(
        status: .ok, headers: headers, body: body(blobs: blobs, digest: digest, range: 0..<size))
    case .part(let range):
      headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
      return Response(
        status: .partialContent, headers: headers,
        body: body(blobs: blobs, digest: digest, range: range))
    case .unsatisfiable:
      let error = APIError(
        .rangeNotSatisfiable, "The range lies outside the \(size) bytes.",
        code: "range_not_satisfiable", headers: [.contentRange: "bytes */\(size)"])
      return (try? error.response()) ?? Response(status: .rangeNotSatisfiable)
    }
  }

  private static func body(
    blobs: any BlobStore, digest: Digest, range: Range<Int>
  ) -> ResponseBody {
    ResponseBody(contentLength: range.count) { writer in
      var position = range.lowerBound
      while position < range.upperBound {
        let end = min(position + pieceBytes, range.upperBound)
        let piece = try await blobs.read(digest, range: position..<end)
        try await writer.write(ByteBuffer(bytes: piece))
        position = end
      }
      try await writer.finish(nil)
    }
  }
}
