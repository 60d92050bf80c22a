import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Where the ground truth lies: `Tests/Fixtures` of this checkout, or the folder of the same shape
/// that `TALLY_FIXTURES` names.
enum GoldenFolder {
  static let url: URL = {
    if let path = ProcessInfo.processInfo.environment["TALLY_FIXTURES"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    return own
  }()

  /// That of this checkout, for tests that name a model.
  static let own = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

  /// The entries of a subfolder, sorted by name.
  static func entries(_ folder: String) -> [URL] {
    let names =
      (try? FileManager.default.contentsOfDirectory(
        atPath: url.appendingPathComponent(folder).path)) ?? []
    return names.sorted().filter { !$0.hasPrefix(".") }.map {
      url.appendingPathComponent(folder).appendingPathComponent($0)
    }
  }
}

/// A model of the ground truth with what transformers computes from it.
struct GoldenCase: Sendable, CustomTestStringConvertible {
  let model: URL
  let reference: URL

  var isGGUF: Bool { model.pathExtension == "gguf" }
  var testDescription: String { "\(isGGUF ? "gguf" : "models")/\(model.lastPathComponent)" }

  /// Every folder of `models` and every file of `gguf`.
  static let all: [GoldenCase] = {
    let folders = GoldenFolder.entries("models").map {
      GoldenCase(model: $0, reference: $0.appendingPathComponent("reference.safetensors"))
    }
    let files = GoldenFolder.entries("gguf").filter { $0.pathExtension == "gguf" }.map { file in
      let name = file.deletingPathExtension().lastPathComponent
      return GoldenCase(
        model: file,
        reference: GoldenFolder.url.appendingPathComponent("models/\(name)/reference.safetensors"))
    }
    return folders + files
  }()

  /// Those of families that can be computed.
  static let supported = all.filter { (try? $0.isSupported()) ?? false }

  /// What the code's list of families says, read from the file without the loader.
  func isSupported() throws -> Bool {
    if isGGUF {
      let metadata = try GGUFFile(contentsOf: model).metadata
      let architecture = metadata["general.architecture"]?.stringValue ?? ""
      return ModelFamilies.ggufArchitectures.contains(architecture)
    }
    let config = try ConfigObject(contentsOf: model.appendingPathComponent("config.json"))
    return ModelFamilies.modelTypes.contains(try config.string("model_type"))
  }
}

/// `reference.safetensors`.
struct GoldenReference {
  let inputs: [[Int32]]
  /// [B][T * V].
  let logits: [[Float]]
  let greedy: [Int32]
  /// [16 * V]
  let greedyLogits: [Float]
  let vocabularySize: Int

  init(_ url: URL) throws {
    let file = try SafetensorsFile(contentsOf: url)
    let shape = try file.record("logits").shape
    let (length, vocabulary) = (shape[1], shape[2])
    let ids = try file.elements("input_ids", as: Int32.self, shape: [nil, length])
    let logits = try file.elements("logits", as: Float.self, shape: [nil, length, vocabulary])
    inputs = (0..<shape[0]).map { Array(ids[$0 * length..<($0 + 1) * length]) }
    let row = length * vocabulary
    self.logits = (0..<shape[0]).map { Array(logits[$0 * row..<($0 + 1) * row]) }
    greedy = try file.elements("greedy", as: Int32.self)
    greedyLogits = try file.elements("greedy_logits", as: Float.self)
    vocabularySize = vocabulary
  }
}

/// The largest absolute difference; infinite when the lengths differ or a difference is not a
/// number.
func largestDifference(_ left: [Float], _ right: [Float]) -> Float {
  guard left.count == right.count else { return .infinity }
  return zip(left, right).reduce(0) { largest, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(largest, difference)
  }
}

/// Kernels as the program would choose them, on two threads.
func makeCompute() throws -> Compute {
  try Compute(
    kernels: KernelSet.best(environment: ProcessInfo.processInfo.environment), threads: 2)
}
