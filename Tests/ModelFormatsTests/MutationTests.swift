import Foundation
import ModelFormats
import TestSupport
import Testing

/// Damaged copies of real files must load or throw; a trap ends the test process.
@Suite struct MutationTests {
  static let seed: UInt64 = 0x7A11_1571_C4

  /// Flips bits, writes extreme bytes, copies ranges over others, cuts; mostly in the header, where
  /// it matters.
  func mutated(_ bytes: [UInt8], headerCount: Int, _ random: inout SeededRandom) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let reach = Bool.random(using: &random) ? min(headerCount, result.count) : result.count
      guard reach > 16 else { return result }
      let position = Int.random(in: 0..<reach, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: result[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: result[position] = [0, 1, 127, 128, 255].randomElement(using: &random) ?? 0
      case 2:
        for index in position..<min(position + 8, result.count) { result[index] = 0xFF }
      case 3:
        let from = Int.random(in: 0..<reach - 8, using: &random)
        for index in 0..<min(8, result.count - position) {
          result[position + index] = result[from + index]
        }
      default: result.removeLast(Int.random(in: 0..<result.count, using: &random))
      }
    }
    return result
  }

  func fuzz(_ path: String, headerCount: Int, rounds: Int, open: ([UInt8]) throws -> Void) throws {
    print("mutations of \(path): seed \(Self.seed)")
    let original = [UInt8](try Data(contentsOf: fixtures.appendingPathComponent(path)))
    var random = SeededRandom(seed: Self.seed)
    var loaded = 0
    for _ in 0..<rounds {
      let bytes = mutated(original, headerCount: headerCount, &random)
      do {
        try open(bytes)
        loaded += 1
      } catch let error as FormatError {
        #expect(error.file == "mutated")
        #expect(error.offset.map { $0 <= UInt64(max(bytes.count, original.count)) } != false)
      }
    }
    #expect(loaded < rounds)
  }

  @Test func safetensors() throws {
    try fuzz("models/smollm2/model.safetensors", headerCount: 4000, rounds: 3000) { bytes in
      let file = try SafetensorsFile(bytes: bytes, name: "mutated")
      for name in file.names {
        _ = try file.withBytes(of: name) { $0.reduce(0, ^) }
      }
    }
  }

  @Test func gguf() throws {
    try fuzz("gguf/llama3.1.gguf", headerCount: 8000, rounds: 3000) { bytes in
      let file = try GGUFFile(bytes: bytes, name: "mutated")
      for tensor in file.tensors {
        _ = file.storage.withUnsafeBytes(tensor.range) { $0.reduce(0, ^) }
      }
    }
  }

  @Test func json() throws {
    try fuzz("models/llama3.1/config.json", headerCount: 4000, rounds: 5000) { bytes in
      _ = try JSONReader.parse(bytes, file: "mutated", rules: .strict)
    }
  }

  @Test func everyTruncationOfAHeaderThrows() throws {
    let original = [UInt8](
      try Data(contentsOf: fixtures.appendingPathComponent("gguf/llama2.gguf")))
    for count in 0..<6000 {
      #expect(throws: FormatError.self) {
        try GGUFFile(bytes: Array(original[..<count]), name: "cut")
      }
    }
  }
}
