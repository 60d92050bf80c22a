import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Rounding of float weights to blocks.
@Suite struct QuantiserTests {
  /// What the kernels read from the blocks of a row.
  func rounded(_ row: [Float], _ format: RoundedFormat) throws -> [Float] {
    let (quantiser, type) = (BlockQuantiser(format), format.type)
    let bytes = row.withUnsafeBufferPointer { quantiser.row($0) }
    #expect(bytes.count == row.count / type.blockSize * type.blockBytes)
    var result = [Float](repeating: .nan, count: row.count)
    try bytes.withUnsafeBytes { bytes in
      try result.withUnsafeMutableBufferPointer { try type.dequantise(bytes, into: $0) }
    }
    return result
  }

  /// The root of the squared error over that of the squares.
  func loss(_ row: [Float], _ format: RoundedFormat) throws -> Double {
    let result = try rounded(row, format)
    let error = zip(row, result).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
    let total = row.reduce(0) { $0 + pow(Double($1), 2) }
    return (error / total).squareRoot()
  }

  /// Nearly normal: the sum of twelve uniform numbers.
  func normal(_ count: Int, seed: UInt64, scale: Float, offset: Float = 0) -> [Float] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { _ in
      offset + scale
        * ((0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) })
    }
  }

  /// Below what rounding to a scale that fits the largest weight of a block loses.
  @Test(arguments: [
    (RoundedFormat.q8_0, 0.0055), (.q6K, 0.021), (.q5K, 0.04), (.q5_1, 0.041), (.q5_0, 0.047),
    (.q4K, 0.079), (.q4_1, 0.081), (.q4_0, 0.092),
  ], [Float(0.005), 0.02, 30])
  func littleIsLost(format: (type: RoundedFormat, bound: Double), scale: Float) throws {
    let loss = try loss(normal(256 * 64, seed: 5, scale: scale), format.type)
    #expect(loss < format.bound, "\(format.type) \(loss)")
    #expect(loss > 0)
  }

  /// A shift of all weights costs the formats with a minimum nothing.
  @Test func aMinimumTakesUpAShift() throws {
    for (type, sign) in [(RoundedFormat.q4_1, Float(1)), (.q4_1, -1), (.q4K, -1)] {
      let row = normal(256 * 16, seed: 6, scale: 0.01, offset: sign * 0.1)
      let centred = normal(256 * 16, seed: 6, scale: 0.01)
      #expect(try loss(row, type) < 0.2 * loss(centred, type), "\(type)")
    }
  }

  @Test(arguments: RoundedFormat.allCases)
  func extremesStayFinite(_ type: RoundedFormat) throws {
    let size = 256
    #expect(try rounded([Float](repeating: 0, count: size), type).allSatisfy { $0 == 0 })
    let rows: [[Float]] = [
      (0..<size).map { $0 == 17 ? 1 : 0 }, (0..<size).map { $0 == 200 ? -1 : 0 },
      [Float](repeating: 0.25, count: size), [Float](repeating: -0.25, count: size),
      (0..<size).map { Float($0 % 2) - 0.5 },
    ]
    for row in rows {
      #expect(try loss(row, type) < 0.02, "\(row.prefix(20))")
    }
    for value in [Float.leastNonzeroMagnitude, 3e38, -3e38, 1e5] {
      let row = (0..<size).map { $0 % 3 == 0 ? value : 0 }
      #expect(try rounded(row, type).allSatisfy(\.isFinite))
    }
  }

  // MARK: Sources

  func rounded(_ model: TestModel, _ format: RoundedFormat) throws -> QuantisedTensorSource {
    try QuantisedTensorSource(model.source, model.description, to: format)
  }

  func bytes(_ source: any TensorSource, _ name: String, pieces: Int) throws -> [UInt8] {
    let count = try source.tensor(name).byteCount
    var bytes = [UInt8](repeating: 0, count: count)
    for start in stride(from: 0, to: count, by: pieces) {
      try bytes.withUnsafeMutableBytes { bytes in
        try source.read(
          name, offset: start,
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[start..<min(start + pieces, count)]))
      }
    }
    return bytes
  }

  @Test(arguments: [ElementType.float32, .float16, .bfloat16])
  func matricesAreRoundedAndVectorsAreNot(_ stored: ElementType) throws {
    let model = TestModel.make(matrices: stored)
    let source = try rounded(model, .q4_0)
    #expect(source.tensorNames == model.source.tensorNames)
    for tensor in model.description.requiredTensors {
      let (before, after) = (try model.source.tensor(tensor.name), try source.tensor(tensor.name))
      #expect(before.shape == after.shape)
      guard tensor.shape.count == 2 else {
        #expect(after == before)
        #expect(
          try bytes(source, tensor.name, pieces: 64) == bytes(model.source, tensor.name, pieces: 64)
        )
        continue
      }
      let isEmbedding = tensor.shape[0] == 83
      let isSmall = tensor.shape[0] < 64
      #expect(after.type == (isSmall ? stored : isEmbedding ? .q8_0 : .q4_0), "\(tensor.name)")
      let whole = try bytes(source, tensor.name, pieces: after.byteCount)
      #expect(try bytes(source, tensor.name, pieces: 37) == whole)
    }
    // Rows of 64 are no multiple of 256, and take the format that comes next.
    #expect(try rounded(model, .q4K).tensor("0.query").type == .q4_1)
    #expect(throws: FormatError.self) {
      var byte: UInt8 = 0
      let end = try source.tensor("0.query").byteCount
      try withUnsafeMutableBytes(of: &byte) { try source.read("0.query", offset: end, into: $0) }
    }
  }

  @Test func theModelFromASourceAnswersNearlyTheSame() throws {
    let model = TestModel.make(matrices: .bfloat16)
    let tokens = randomTokens(40, seed: 9)
    func logits(_ source: any TensorSource) throws -> [Float] {
      try Executor(Model(model.description, from: source), compute: makeCompute())
        .logits(of: tokens, cache: .f32)
    }
    let exact = try logits(model.source)
    let spread = (exact.reduce(0) { $0 + $1 * $1 } / Float(exact.count)).squareRoot()
    for (type, bound) in [(RoundedFormat.q8_0, Float(0.05)), (.q4_0, 0.5)] {
      let error =
        (zip(exact, try logits(rounded(model, type))).reduce(0) {
          $0 + ($1.0 - $1.1) * ($1.0 - $1.1)
        }
        / Float(exact.count)).squareRoot()
      #expect(error < bound * spread, "\(type) \(error / spread)")
      #expect(error > 0)
    }
  }

  @Test func whatIsQuantisedStays() throws {
    let model = TestModel.make(matrices: .q8_0)
    #expect(try rounded(model, .q4_0).formats.isEmpty)
  }

  @Test func aWeightThatIsNotFiniteIsRefused() throws {
    let model = TestModel.make()
    var entries = model.source.entries
    let old = try #require(entries["0.query"])
    entries["0.query"] = .init(
      type: old.type, shape: old.shape, bytes: Array(old.bytes.dropLast(4)) + [0, 0, 0xc0, 0x7f])
    let source = try QuantisedTensorSource(
      MemoryTensorSource(entries), model.description, to: .q8_0)
    #expect(throws: FormatError.self) { try bytes(source, "0.query", pieces: 1 << 20) }
  }
}
