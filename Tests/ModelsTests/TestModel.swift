import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport

/// Tensors in memory.
final class MemoryTensorSource: TensorSource {
  struct Entry {
    let type: ElementType
    let shape: [Int]
    let bytes: [UInt8]
  }

  let name = "memory"
  let entries: [String: Entry]

  init(_ entries: [String: Entry]) { self.entries = entries }

  var tensorNames: [String] { entries.keys.sorted() }

  func entry(_ name: String) throws -> Entry {
    guard let entry = entries[name] else {
      throw FormatError(.missing, file: self.name, reason: name)
    }
    return entry
  }

  func tensor(_ name: String) throws -> SourceTensor {
    let entry = try entry(name)
    return SourceTensor(type: entry.type, shape: entry.shape, byteCount: entry.bytes.count)
  }

  func read(_ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
    let bytes = try entry(name).bytes
    guard offset >= 0, offset + target.count <= bytes.count else {
      throw FormatError(.truncated, file: self.name, reason: name)
    }
    target.copyBytes(from: bytes[offset..<offset + target.count])
  }

  func release(_ name: String, upTo offset: Int) {}
}

/// A small model of random weights.
struct TestModel {
  var description: ModelDescription
  var source: MemoryTensorSource

  /// Sizes that exercise partial panels (V = 83), grouped heads and more than one attention block.
  ///
  /// - Parameters:
  ///   - matrices: how matrices are stored; vectors are F32.
  ///   - window: of every second layer.
  static func make(
    matrices: ElementType = .float32, tied: Bool = true, biased: Bool = false, window: Int? = nil,
    style: ModelDescription.Rope.Style = .halves, seed: UInt64 = 7
  ) -> TestModel {
    let description = describe(tied: tied, biased: biased, window: window, style: style)
    var random = SeededRandom(seed: seed)
    var entries: [String: MemoryTensorSource.Entry] = [:]
    for tensor in description.requiredTensors {
      entries[tensor.name] = entry(tensor, matrices, &random)
    }
    return TestModel(description: description, source: MemoryTensorSource(entries))
  }

  static func describe(
    tied: Bool, biased: Bool, window: Int?, style: ModelDescription.Rope.Style
  ) -> ModelDescription {
    let (hidden, heads, keyValueHeads, dimension, width, vocabulary) = (64, 4, 2, 16, 96, 83)
    func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> ModelDescription.Linear {
      .init(
        weight: name, bias: biased ? name + ".bias" : nil, inputs: inputs, outputs: outputs)
    }
    func norm(_ name: String) -> ModelDescription.Norm {
      .init(weight: name, epsilon: 1e-5, size: hidden)
    }
    let layers = (0..<3).map { index in
      ModelDescription.Layer(
        mixerNorm: norm("\(index).mixerNorm"),
        mixer: .attention(
          .init(
            heads: heads, keyValueHeads: keyValueHeads, keyDimension: dimension,
            valueDimension: dimension, scale: 0.25, window: index % 2 == 1 ? window : nil, rope: 0,
            query: linear("\(index).query", hidden, heads * dimension),
            key: linear("\(index).key", hidden, keyValueHeads * dimension),
            value: linear("\(index).value", hidden, keyValueHeads * dimension),
            output: linear("\(index).output", heads * dimension, hidden))),
        feedForwardNorm: norm("\(index).feedForwardNorm"),
        feedForward: .gated(
          .init(
            activation: .silu, gate: linear("\(index).gate", hidden, width),
            up: linear("\(index).up", hidden, width), down: linear("\(index).down", width, hidden)))
      )
    }
    return ModelDescription(
      family: "test", vocabularySize: vocabulary, hiddenSize: hidden, contextLength: 300,
      endOfSequenceIds: [2], embedding: .init(weight: "embedding"),
      ropes: [.init(style: style, dimensions: dimension, base: 10000)], layers: layers,
      finalNorm: norm("finalNorm"),
      output: .init(weight: tied ? "embedding" : "head", inputs: hidden, outputs: vocabulary))
  }

  static func entry(
    _ tensor: TensorRequirement, _ matrices: ElementType, _ random: inout SeededRandom
  ) -> MemoryTensorSource.Entry {
    let count = tensor.shape.reduce(1, *)
    guard tensor.shape.count == 2 else {
      let values = (0..<count).map { _ in Float.random(in: 0.5...1.5, using: &random) }
      return .init(
        type: .float32, shape: tensor.shape, bytes: values.withUnsafeBytes { [UInt8]($0) })
    }
    let blocks = count / matrices.elementsPerBlock
    var bytes: [UInt8] = []
    for _ in 0..<blocks { bytes += block(matrices, &random) }
    return .init(type: matrices, shape: tensor.shape, bytes: bytes)
  }

  /// Random weights of about a tenth.
  static func block(_ type: ElementType, _ random: inout SeededRandom) -> [UInt8] {
    func little<T: BitwiseCopyable>(_ value: T) -> [UInt8] {
      withUnsafeBytes(of: value) { [UInt8]($0) }
    }
    func noise(_ count: Int) -> [UInt8] {
      (0..<count).map { _ in .random(in: 0...255, using: &random) }
    }
    let value = Float.random(in: -0.2...0.2, using: &random)
    switch type {
    case .float16: return little(Float16(value))
    case .bfloat16: return little(UInt16(value.bitPattern >> 16))
    case .q8_0: return little(Float16(abs(value) / 100)) + noise(32)
    case .q4_0: return little(Float16(abs(value) / 8)) + noise(16)
    case .q4_1: return little(Float16(abs(value) / 8)) + little(Float16(-abs(value))) + noise(16)
    default: return little(value)
    }
  }

  func load(_ options: Model.LoadOptions = .init()) throws -> Model {
    try Model(description, from: source, options: options)
  }
}

/// Kernels as the program would choose them.
func makeCompute(threads: Int = 1) throws -> Compute {
  try Compute(
    kernels: KernelSet.best(environment: ProcessInfo.processInfo.environment), threads: threads)
}

extension Executor {
  /// The bits of the logits of every position when the tokens come `chunk` at a time.
  func bits(of tokens: [Int32], cache: CacheElement, chunk: Int) throws -> [UInt32] {
    try logits(of: tokens, cache: cache, chunk: chunk).map(\.bitPattern)
  }
}

/// `count` random token ids.
func randomTokens(_ count: Int, vocabulary: Int = 83, seed: UInt64) -> [Int32] {
  var random = SeededRandom(seed: seed)
  return (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
}
