import Foundation

/// How the bytes of a range of a blob travel when a worker asks for it (`tally-coding: planes`): in
/// pieces, each on its own, so that what has arrived of a broken answer counts.
///
///     0    uint8     how: 0 as they are, 2 or 4 as `BytePlanes` of words of so many bytes in zstd
///     1    uint32    bytes of the blob, little-endian, at most `pieceLimitBytes`
///     5    uint32    bytes that follow, at most as many
package enum BlobCoding {
  /// Of request and answer.
  package static let header = "tally-coding"
  /// Its value.
  package static let planes = "planes"
  /// Bytes of a blob that make up a piece, at most.
  package static let pieceLimitBytes = 256 * 1024
  fileprivate static let headBytes = 9
  /// What a piece must save of its bytes to be worth another order.
  private static let leastGain = 0.03

  /// Codes the pieces of one range, and gives up where the first saves nothing: what is quantised
  /// does not compress.
  package struct Encoder: Sendable {
    private var widths = [2, 4]

    package init() {}

    /// - Parameter bytes: from 1 to `pieceLimitBytes`.
    /// - Throws: `ZstdError`.
    package mutating func piece(_ bytes: Data) throws -> Data {
      let most = Int(Double(bytes.count) * (1 - BlobCoding.leastGain))
      let tries = try widths.map { width in
        let planes = BytePlanes.split(bytes, width: width)
        return (width, try Zstd.compress(planes, level: 1, repeats: false))
      }
      guard let best = tries.min(by: { $0.1.count < $1.1.count }), best.1.count <= most else {
        widths = []
        return Self.head(0, bytes.count, bytes.count) + bytes
      }
      widths = [best.0]
      return Self.head(UInt8(best.0), bytes.count, best.1.count) + best.1
    }

    private static func head(_ kind: UInt8, _ bytes: Int, _ coded: Int) -> Data {
      var head = Data([kind])
      for count in [bytes, coded] {
        withUnsafeBytes(of: UInt32(count).littleEndian) { head.append(contentsOf: $0) }
      }
      return head
    }
  }

  /// Bytes that are no pieces.
  package struct Malformed: Error {}

  /// Takes an answer as it arrives and gives the bytes of whole pieces. Holds less than two pieces
  /// and what it is given at a time.
  package struct Decoder {
    private var pending = Data()

    package init() {}

    /// - Returns: the bytes of the pieces that `received` completes.
    /// - Throws: `Malformed`, `ZstdError`.
    package mutating func take(_ received: some Sequence<UInt8>) throws -> Data {
      pending.append(contentsOf: received)
      var result = Data()
      while let head = try head(), pending.count >= headBytes + head.coded {
        let start = pending.startIndex + headBytes
        let body = Data(pending[start..<start + head.coded])
        pending = Data(pending[(start + head.coded)...])
        guard head.kind > 0 else {
          result.append(body)
          continue
        }
        let planes = try Zstd.decompress(body, limit: head.bytes)
        guard planes.count == head.bytes else { throw Malformed() }
        result.append(BytePlanes.join(planes, width: head.kind))
      }
      return result
    }

    /// True when nothing of a piece is left over.
    package var isComplete: Bool { pending.isEmpty }

    private func head() throws -> (kind: Int, bytes: Int, coded: Int)? {
      guard pending.count >= headBytes else { return nil }
      func word(_ offset: Int) -> Int {
        (0..<4).reduce(0) { $0 | Int(pending[pending.startIndex + offset + $1]) << (8 * $1) }
      }
      let head = (kind: Int(pending[pending.startIndex]), bytes: word(1), coded: word(5))
      guard [0, 2, 4].contains(head.kind), head.bytes >= 1, head.bytes <= pieceLimitBytes,
        head.coded <= head.bytes, head.kind > 0 || head.coded == head.bytes
      else { throw Malformed() }
      return head
    }
  }
}
