import Foundation
import TestSupport
import Testing
import WirePayloads

/// How weights travel.
@Suite struct BlobCodingTests {
  /// Normal numbers of a hundredth as bfloat16 or float32, as trained weights are.
  static func gaussian(_ count: Int, width: Int, _ random: inout SeededRandom) -> Data {
    var bytes = Data(capacity: count * width)
    for _ in 0..<count {
      // Box and Muller.
      let radius = (-2 * log(Double.random(in: 1e-12..<1, using: &random))).squareRoot()
      let value = Float(0.01 * radius * cos(2 * .pi * Double.random(in: 0..<1, using: &random)))
      let bits = value.bitPattern
      if width == 4 {
        withUnsafeBytes(of: bits.littleEndian) { bytes.append(contentsOf: $0) }
      } else {
        let rounded = UInt16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
        withUnsafeBytes(of: rounded.littleEndian) { bytes.append(contentsOf: $0) }
      }
    }
    return bytes
  }

  static func coded(_ bytes: Data) throws -> Data {
    var encoder = BlobCoding.Encoder()
    return try stride(from: 0, to: bytes.count, by: BlobCoding.pieceLimitBytes).reduce(Data()) {
      let end = min(bytes.count, $1 + BlobCoding.pieceLimitBytes)
      return try $0 + encoder.piece(Data(bytes[$1..<end]))
    }
  }

  @Test(arguments: [2, 4])
  func planesJoinToWhatTheyWere(width: Int) {
    for seed in testSeeds(4) {
      var random = SeededRandom(seed: seed)
      for count in [0, 1, 2, 3, 4, 5, 63, 64, 1001] {
        let bytes = Data(random.bytes(count))
        let planes = BytePlanes.split(bytes, width: width)
        #expect(planes.count == count)
        #expect(BytePlanes.join(planes, width: width) == bytes)
      }
    }
    // Of 1.0 and -1.5 as bfloat16: exponents first, then mantissas and signs.
    let words = Data([0x80, 0x3f, 0xc0, 0xbf])
    #expect(BytePlanes.split(words, width: 2) == Data([0x7f, 0x7f, 0x00, 0x81]))
  }

  @Test func bfloat16WeightsTakeSevenTenths() throws {
    var random = SeededRandom(seed: 1)
    let bytes = Self.gaussian(1 << 20, width: 2, &random)
    let share = Double(try Self.coded(bytes).count) / Double(bytes.count)
    print("bfloat16 weights travel in \(share) of their bytes")
    #expect(share <= 0.70)
    let wide = Self.gaussian(1 << 18, width: 4, &random)
    #expect(Double(try Self.coded(wide).count) / Double(wide.count) < 0.9)
  }

  /// Whatever the bytes and the pieces in which they arrive; bytes that save nothing travel as they
  /// are.
  @Test func whatArrivesInPiecesIsWhatWasSent() throws {
    for seed in testSeeds(3) {
      var random = SeededRandom(seed: seed)
      let noise = Data(random.bytes(300_001))
      let weights = Self.gaussian(200_003, width: 2, &random)
      for bytes in [weights, noise, Data([7]), noise.prefix(10_000) + weights] {
        let coded = try Self.coded(bytes)
        var decoder = BlobCoding.Decoder()
        var result = Data()
        var position = 0
        while position < coded.count {
          let end = min(coded.count, position + Int.random(in: 1...70_000, using: &random))
          result += try decoder.take(coded[position..<end])
          position = end
        }
        #expect(decoder.isComplete && result == bytes)
      }
      #expect(try Self.coded(noise).count == noise.count + 2 * 9)
    }
  }

  @Test func hostilePiecesAreRefused() throws {
    func take(_ bytes: [UInt8]) throws -> Data {
      var decoder = BlobCoding.Decoder()
      return try decoder.take(bytes)
    }
    #expect(throws: BlobCoding.Malformed.self) { try take([1, 1, 0, 0, 0, 1, 0, 0, 0, 5]) }
    #expect(throws: BlobCoding.Malformed.self) { try take([0, 2, 0, 0, 0, 1, 0, 0, 0, 5]) }
    #expect(throws: BlobCoding.Malformed.self) { try take([2, 0, 0, 0, 0, 0, 0, 0, 0]) }
    #expect(throws: BlobCoding.Malformed.self) {
      try take([2, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 1])
    }
    #expect(throws: ZstdError.self) { try take([2, 8, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]) }
    // A frame that holds other bytes than the head says.
    let frame = [UInt8](try Zstd.compress(Data(repeating: 0, count: 1000)))
    for claimed in [999, 1001] as [UInt32] {
      let head = [2] + withUnsafeBytes(of: claimed.littleEndian) { [UInt8]($0) }
      let length = withUnsafeBytes(of: UInt32(frame.count).littleEndian) { [UInt8]($0) }
      #expect(throws: (any Error).self) { try take(head + length + frame) }
    }
  }
}
