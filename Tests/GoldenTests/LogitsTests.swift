import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Logits of every model of the ground truth against those of transformers.
@Suite struct LogitsTests {
  /// Largest absolute difference that is accepted.
  static func tolerance(_ cache: CacheElement) -> Float { cache == .f32 ? 1e-3 : 2e-2 }

  @Test func thereAreCases() {
    #expect(!GoldenCase.all.isEmpty, "no models below \(GoldenFolder.url.path)")
  }

  @Test(arguments: GoldenCase.all, CacheElement.allCases)
  func logitsEqualThoseOfTransformers(_ golden: GoldenCase, _ cache: CacheElement) throws {
    guard try golden.isSupported() else { return try expectRefusal(golden) }
    let reference = try GoldenReference(golden.reference)
    let executor = Executor(try Model(path: golden.model.path), compute: try makeCompute())
    var largest: Float = 0
    for (ids, expected) in zip(reference.inputs, reference.logits) {
      let logits = try executor.logits(of: ids, cache: cache)
      largest = max(largest, largestDifference(logits, expected))
    }
    let decoded = try teacherForced(executor, reference, cache)
    let decodedDifference = largestDifference(decoded, reference.greedyLogits)
    print(
      "\(golden.testDescription), \(cache.rawValue) cache: logits differ by at most \(largest), "
        + "decoded ones by \(decodedDifference)")
    #expect(largest <= Self.tolerance(cache))
    #expect(decodedDifference <= Self.tolerance(cache))
  }

  /// The logits at each step when the reference's own continuation of row 0 is fed.
  func teacherForced(
    _ executor: Executor, _ reference: GoldenReference, _ cache: CacheElement
  ) throws -> [Float] {
    let sequence = executor.model.makeSequence(cache: cache)
    var tokens = reference.inputs[0]
    var result: [Float] = []
    for next in reference.greedy {
      let output = try executor.forward([SequenceChunk(sequence, tokens: tokens, wanted: .last)])
      #expect(output.chunks[0].firstNonFinitePosition == nil)
      result += output.logits[output.chunks[0].rows.lowerBound]
      tokens = [next]
    }
    return result
  }

  /// A family that the code does not list must be refused in so many words.
  func expectRefusal(_ golden: GoldenCase) throws {
    let error = try #require(throws: FormatError.self) { try ModelFiles(path: golden.model.path) }
    print("\(golden.testDescription) is not yet supported: \(error)")
    #expect(error.code == .unsupported)
    #expect(error.reason.contains("supported"))
  }

  @Test(
    arguments: GoldenCase.all.filter {
      FileManager.default.fileExists(
        atPath: $0.model.appendingPathComponent("config.transformers4.json").path)
    })
  func bothSpellingsOfTheConfigurationGiveTheSameLogits(_ golden: GoldenCase) throws {
    guard try golden.isSupported() else { return try expectRefusal(golden) }
    let reference = try GoldenReference(golden.reference)
    let logits = try ["config.json", "config.transformers4.json"].map { name in
      let files = try ModelFiles(path: golden.model.path, configName: name)
      let executor = Executor(
        try Model(files.description, from: files.source), compute: try makeCompute())
      return try executor.logits(of: reference.inputs[0], cache: .f32)
    }
    #expect(logits[0].map(\.bitPattern) == logits[1].map(\.bitPattern))
  }
}
