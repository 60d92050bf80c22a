import Kernels
import ModelFormats
import Models
import Testing

/// What stored weights stand for, by ggml's formulas written out here.
@Suite struct QuantisedWeightsTests {
  /// The elements of one block, as `ggml-quants.c` dequantises them.
  func elements(_ type: ElementType, _ block: ArraySlice<UInt8>) -> [Float] {
    let block = Array(block)
    func half(_ index: Int) -> Float {
      Float(Float16(bitPattern: UInt16(block[index]) | UInt16(block[index + 1]) << 8))
    }
    switch type {
    case .float16: return [half(0)]
    case .bfloat16: return [Float(bitPattern: UInt32(block[0]) << 16 | UInt32(block[1]) << 24)]
    case .q8_0: return block[2...].map { Float(Int8(bitPattern: $0)) * half(0) }
    case .q4_0:
      return block[2...].map { Float(Int($0 & 15) - 8) * half(0) }
        + block[2...].map { Float(Int($0 >> 4) - 8) * half(0) }
    case .q4_1:
      return block[4...].map { Float($0 & 15) * half(0) + half(2) }
        + block[4...].map { Float($0 >> 4) * half(0) + half(2) }
    default: return []
    }
  }

  /// The same model with every matrix dequantised to F32.
  func dequantised(_ test: TestModel) -> TestModel {
    let entries = test.source.entries.mapValues { entry in
      guard entry.shape.count == 2, entry.type != .float32 else { return entry }
      let size = entry.type.bytesPerBlock
      let values = stride(from: 0, to: entry.bytes.count, by: size).flatMap {
        elements(entry.type, entry.bytes[$0..<$0 + size])
      }
      return MemoryTensorSource.Entry(
        type: .float32, shape: entry.shape, bytes: values.withUnsafeBytes { [UInt8]($0) })
    }
    return TestModel(description: test.description, source: MemoryTensorSource(entries))
  }

  func logits(_ model: Model) throws -> [Float] {
    try Executor(model, compute: makeCompute())
      .logits(of: randomTokens(30, seed: 6), cache: .f32)
  }

  func largestDifference(_ left: [Float], _ right: [Float]) -> Float {
    zip(left, right).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }

  @Test(arguments: [ElementType.float16, .bfloat16, .q8_0, .q4_0, .q4_1])
  func float32LoadingGivesTheStoredValues(_ type: ElementType) throws {
    let test = TestModel.make(matrices: type)
    let expected = try logits(dequantised(test).load())
    let loaded = try logits(test.load(.init(weights: .float32)))
    #expect(largestDifference(loaded, expected) < 1e-4)
    #expect((expected.max() ?? 0) > 0.1)
  }

  /// Float formats compute with the stored values exactly; quantised ones round activations to 8
  /// bits.
  @Test(arguments: [ElementType.float16, .bfloat16, .q8_0, .q4_0, .q4_1])
  func storedWeightsStayCloseToFloat32(_ type: ElementType) throws {
    let test = TestModel.make(matrices: type)
    let expected = try logits(test.load(.init(weights: .float32)))
    let stored = try logits(test.load())
    let scale = expected.reduce(0) { max($0, abs($1)) }
    let tolerance: Float = type.elementsPerBlock == 1 ? 0 : 0.05
    #expect(largestDifference(stored, expected) <= tolerance * scale)
  }
}
