import BoundedWork
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import NIOCore
import WirePayloads
import WireProtocol

/// Sends a blob, whole or in part, without holding more than a piece of it.
package enum BlobResponse {
  private static let pieceBytes = BlobCoding.pieceLimitBytes

  /// 200, 206 or 416. The bytes are coded as `BlobCoding` says where the request asks for it,
  /// unless so much is coded for the same reader already: coding computes, and plain bytes are as
  /// good.
  ///
  /// - Parameters:
  ///   - reader: who asks.
  ///   - size: bytes of the blob.
  static func make(
    _ environment: APIEnvironment, reader: String, digest: Digest, size: Int, request: Request,
    contentType: String
  ) -> Response {
    var headers: HTTPFields = [.contentType: contentType, .acceptRanges: "bytes"]
    var turn: Turn?
    if let name = HTTPField.Name(BlobCoding.header), request.headers[name] == BlobCoding.planes {
      turn = environment.codedDownloads.take(reader)
      if turn != nil { headers[name] = BlobCoding.planes }
    }
    func body(_ range: Range<Int>) -> ResponseBody {
      turn.map { coded(environment, digest: digest, range: range, turn: $0) }
        ?? plain(environment, digest: digest, range: range)
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

  /// - Parameter turn: held until the answer is written, or given up.
  private static func coded(
    _ environment: APIEnvironment, digest: Digest, range: Range<Int>, turn: Turn
  ) -> ResponseBody {
    ResponseBody { writer in
      defer { withExtendedLifetime(turn) {} }
      var encoder = BlobCoding.Encoder()
      var position = range.lowerBound
      while position < range.upperBound {
        let end = min(position + pieceBytes, range.upperBound)
        let piece = try await environment.blobs.read(digest, range: position..<end)
        let (coded, next) = try await environment.coding.run { [encoder] in
          var encoder = encoder
          return (try encoder.piece(piece), encoder)
        }
        encoder = next
        try await writer.write(ByteBuffer(bytes: coded))
        position = end
      }
      try await writer.finish(nil)
    }
  }

  private static func plain(
    _ environment: APIEnvironment, digest: Digest, range: Range<Int>
  ) -> ResponseBody {
    ResponseBody(contentLength: range.count) { writer in
      var position = range.lowerBound
      while position < range.upperBound {
        let end = min(position + pieceBytes, range.upperBound)
        let piece = try await environment.blobs.read(digest, range: position..<end)
        try await writer.write(ByteBuffer(bytes: piece))
        position = end
      }
      try await writer.finish(nil)
    }
  }
}
