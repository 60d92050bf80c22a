import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Damaged models must load or throw, and what loads must run or throw; a trap ends the test
/// process.
@Suite struct HostileModelTests {
  static let seed: UInt64 = 0x5EED_0001

  static let fixtures = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

  /// Changes some bytes among the first `reach`.
  func damage(_ bytes: [UInt8], reach: Int, _ random: inout SeededRandom) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let position = Int.random(in: 0..<min(reach, result.count), using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: result[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: result[position] = UInt8.random(in: 0...255, using: &random)
      case 2: result[position] = UInt8(ascii: "0") + UInt8.random(in: 0...9, using: &random)
      default:
        for index in position..<min(position + 4, result.count) { result[index] = 0xFF }
      }
    }
    return result
  }

  /// Runs three tokens if `open` gives a model; returns whether it did.
  func run(_ compute: Compute, _ open: () throws -> Model) throws -> Bool {
    do {
      let executor = Executor(try open(), compute: compute)
      _ = try executor.logits(of: [0, 1, 2], cache: .f16)
      return true
    } catch is FormatError {
      return false
    } catch is ForwardError {
      return false
    }
  }

  @Test func damagedGGUFFiles() throws {
    print("damaged GGUF files: seed \(Self.seed)")
    let compute = try makeCompute()
    let original = [UInt8](
      try Data(contentsOf: Self.fixtures.appendingPathComponent("gguf/llama3.1.gguf")))
    var random = SeededRandom(seed: Self.seed)
    var outcomes = [false: 0, true: 0]
    for round in 0..<1500 {
      // The architecture's settings come first, the tensors' entries after the vocabulary.
      let reach = round % 2 == 0 ? 1000 : 9000
      let bytes = damage(original, reach: reach, &random)
      let ran = try run(compute) {
        let file = try GGUFFile(bytes: bytes, name: "damaged")
        return try Model(ModelFamilies.describe(file), from: GGUFTensorSource(file))
      }
      outcomes[ran, default: 0] += 1
    }
    print("damaged GGUF files: \(outcomes)")
    #expect(outcomes[false] != 0)
  }

  @Test func damagedFolders() throws {
    print("damaged folders: seed \(Self.seed)")
    let compute = try makeCompute()
    let origin = Self.fixtures.appendingPathComponent("models/llama3.1")
    let config = [UInt8](try Data(contentsOf: origin.appendingPathComponent("config.json")))
    let weights = [UInt8](try Data(contentsOf: origin.appendingPathComponent("model.safetensors")))
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("damaged-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var random = SeededRandom(seed: Self.seed)
    var outcomes = [false: 0, true: 0]
    for round in 0..<600 {
      let (damagedConfig, damagedWeights) =
        round % 3 == 0
        ? (config, damage(weights, reach: 4000, &random))
        : (damage(config, reach: config.count, &random), weights)
      try Data(damagedConfig).write(to: folder.appendingPathComponent("config.json"))
      try Data(damagedWeights).write(to: folder.appendingPathComponent("model.safetensors"))
      let ran = try run(compute) { try Model(path: folder.path) }
      outcomes[ran, default: 0] += 1
    }
    print("damaged folders: \(outcomes)")
    #expect(outcomes[false] != 0)
  }

  @Test func missingAndMisshapenTensorsAreNamed() throws {
    let test = TestModel.make()
    for tensor in test.description.requiredTensors {
      var entries = test.source.entries
      entries[tensor.name] = nil
      let missing = try #require(throws: FormatError.self) {
        try Model(test.description, from: MemoryTensorSource(entries))
      }
      #expect(missing.code == .missing && "\(missing)".contains(tensor.name))
      var random = SeededRandom(seed: 1)
      entries[tensor.name] = TestModel.entry(
        TensorRequirement(name: tensor.name, shape: tensor.shape.map { $0 + 32 }), .float32,
        &random)
      let misshapen = try #require(throws: FormatError.self) {
        try Model(test.description, from: MemoryTensorSource(entries))
      }
      #expect(misshapen.code == .badLayout && "\(misshapen)".contains(tensor.name))
    }
  }

  @Test(arguments: [ElementType.float64, .int32, .uint8, .bool, .float8E4M3])
  func typesThatCannotBeComputedWithAreNamed(_ type: ElementType) throws {
    let test = TestModel.make()
    for name in ["embedding", "finalNorm"] {
      var entries = test.source.entries
      let shape = try test.source.entry(name).shape
      let count = try #require(type.byteCount(shape: shape))
      entries[name] = .init(type: type, shape: shape, bytes: Array(repeating: 0, count: count))
      let error = try #require(throws: FormatError.self) {
        try Model(test.description, from: MemoryTensorSource(entries))
      }
      #expect(error.code == .badType && "\(error)".contains(name))
      #expect("\(error)".contains(type.rawValue))
    }
  }

  @Test(arguments: [0, -1, .nan, 1e-30] as [Float])
  func frequencyFactorsOutOfRangeAreRefused(_ factor: Float) throws {
    let test = TestModel.make()
    var description = test.description
    description.ropes[0].scaling = .tensor(name: "factors")
    var entries = test.source.entries
    for (value, isValid) in [(factor, false), (4, true)] {
      let values = [1, 1, 1, value, 1, 1, 1, 1] as [Float]
      entries["factors"] = .init(
        type: .float32, shape: [8], bytes: values.withUnsafeBytes { [UInt8]($0) })
      let source = MemoryTensorSource(entries)
      if isValid {
        _ = try Model(description, from: source)
      } else {
        #expect(throws: FormatError.self) { try Model(description, from: source) }
      }
    }
  }
}
