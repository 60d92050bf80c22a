import CoordinatorCore
import CoordinatorStore
import Foundation
import Hummingbird

/// A request's body as it arrived, whoever slowly: a few small pieces are in memory, the rest lies
/// in an unnamed file, so that many senders at once take little.
struct ReceivedBody: Sendable {
  private let environment: APIEnvironment
  private var file: (any BlobWriter)?
  private var fileBytes = 0
  private var tail = Data()

  private static let tailBytes = 1 << 17
  private static let pieceBytes = 1 << 20
  /// A body has so many seconds, and one more for each `leastBytesPerSecond` that have arrived.
  private static let firstSeconds = 60.0
  private static let leastBytesPerSecond = 1024.0

  /// Receives all of a body. End with `discard`.
  ///
  /// - Throws: `APIError` 413 above `limit` bytes, 408 for one that dribbles, 507 where the disk is
  ///   too full; what blobs and connection throw.
  init(_ body: RequestBody, limit: Int, _ environment: APIEnvironment) async throws {
    self.environment = environment
    let started = environment.now()
    do {
      for try await piece in body {
        guard count + piece.readableBytes <= limit else {
          throw APIError.tooLarge("The body is larger than the result that it claims to hold.")
        }
        try await append(Data(piece.readableBytesView))
        let allowed = Self.firstSeconds + Double(count) / Self.leastBytesPerSecond
        guard environment.now().seconds(since: started) <= allowed else {
          throw APIError(
            .requestTimeout, "The body arrives too slowly.", code: "request_timeout")
        }
      }
    } catch {
      await discard()
      throw error
    }
  }

  /// Bytes of the body.
  var count: Int { fileBytes + tail.count }

  private mutating func append(_ piece: Data) async throws {
    tail.append(piece)
    guard tail.count > Self.tailBytes else { return }
    try environment.requireDisk()
    let file: any BlobWriter
    if let open = self.file {
      file = open
    } else {
      file = try await environment.blobs.makeWriter()
      self.file = file
    }
    try await file.write(tail)
    fileBytes += tail.count
    tail = Data()
  }

  /// Gives the body piece by piece, each not empty, then nil. Reading blocks the calling thread.
  func pieces() -> () throws -> Data? {
    var offset = 0
    return {
      guard offset < count else { return nil }
      let piece =
        if offset < fileBytes, let file {
          try file.read(from: offset, count: Self.pieceBytes)
        } else {
          tail
        }
      offset += piece.count
      return piece
    }
  }

  /// Deletes the file with the bytes that were received.
  func discard() async { await file?.cancel() }
}
