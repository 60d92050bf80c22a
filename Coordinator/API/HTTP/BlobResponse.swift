import CoordinatorStore
import HTTPTypes
import Hummingbird
import NIOCore
import WirePayloads
import WireProtocol

/// Sends a blob, whole or in part, without holding more than a piece of it.
package enum BlobResponse {
  private static let pieceBytes = BlobCoding.pieceLimitBytes

  /// 200, 206 or 416. The bytes are coded as `BlobCoding` says where the request asks for it.
  ///
  /// - Parameter size: bytes of the blob.
  package static func make(
    blobs: any BlobStore, digest: Digest, size: Int, request: Request, contentType: String
  ) -> Response {
    var headers: HTTPFields = [.contentType: contentType, .acceptRanges: "bytes"]
    let isCoded = HTTPField.Name(BlobCoding.header).map {
      guard request.headers[$0] == BlobCoding.planes else { return false }
      headers[$0] = BlobCoding.planes
      return true
    }
    func body(_ range: Range<Int>) -> ResponseBody {
      isCoded ?? false
        ? coded(blobs: blobs, digest: digest, range: range)
        : plain(blobs: blobs, digest: digest, range: range)
    }
    switch ByteRange(header: request.headers[.range], size: size) {
    case .whole:
      return Response(
        status: .ok, headers: headers, body: body(0..<size))
    case .part(let range):
      headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
      return Response(
        status: .partialContent, headers: headers,
        body: body(range))
    case .unsatisfiable:
      let error = APIError(
        .rangeNotSatisfiable, "The range lies outside the \(size) bytes.",
        code: "range_not_satisfiable", headers: [.contentRange: "bytes */\(size)"])
      return (try? error.response()) ?? Response(status: .rangeNotSatisfiable)
    }
  }

  private static func coded(
    blobs: any BlobStore, digest: Digest, range: Range<Int>
  ) -> ResponseBody {
    ResponseBody { writer in
      var encoder = BlobCoding.Encoder()
      var position = range.lowerBound
      while position < range.upperBound {
        let end = min(position + pieceBytes, range.upperBound)
        let piece = try await blobs.read(digest, range: position..<end)
        try await writer.write(ByteBuffer(bytes: try encoder.piece(piece)))
        position = end
      }
      try await writer.finish(nil)
    }
  }

  private static func plain(
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
