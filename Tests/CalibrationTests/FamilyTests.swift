import Calibration
import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Every family can be calibrated: attention of all kinds, experts, layers that share keys.
@Suite struct CalibratedFamilyTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures/models")

  /// FP8 weights are not rounded again, and one model's matrices are too small to be.
  static let models: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { !$0.hasPrefix(".") && $0 != "deepseek_v3_fp8" && $0 != "smollm2" }
      .sorted()
  }()

  private final class Counter: InputObserver {
    var sites: Set<String> = []

    func observe(_ x: Tensor, rows: Range<Int>, into site: InputSite) {
      sites.formUnion(site.matrices.map { "\($0.tensor) \($0.rows.lowerBound)" })
    }
  }

  private func tokens(_ files: ModelFiles, seed: UInt64) -> [[Int32]] {
    var random = SeededRandom(seed: seed)
    let count = Int32(
      min(files.description.vocabularySize, files.description.embedding.perLayer?.rows ?? .max))
    return (0..<8).map { _ in (0..<64).map { _ in Int32.random(in: 0..<count, using: &random) } }
  }

  private func logits(_ files: ModelFiles, _ window: [Int32], observer: Counter? = nil) throws
    -> [Float]
  {
    let model = try Model(files.description, from: files.source)
    let executor = Executor(
      model, compute: try Compute(kernels: KernelSet.best(environment: [:]), threads: 1))
    executor.observer = observer
    let chunk = SequenceChunk(model.makeSequence(cache: .f32), tokens: window, wanted: .all)
    let output = try executor.forward([chunk])
    return output.logits.values.flatMap { $0 }
  }

  @Test(arguments: models)
  func aFamilyIsCalibrated(_ name: String) throws {
    let files = try ModelFiles(path: Self.folder.appendingPathComponent(name).path)
    let windows = tokens(files, seed: 20_261_128)
    let temporary = try TemporaryFolder()
    let calibration = try Calibration(
      files, to: .q4_0, try LinearAlgebra(threads: 1),
      compute: try Compute(kernels: KernelSet.best(environment: [:]), threads: 2),
      folder: temporary.url)
    var last = 0.0
    let rounded = try calibration.run(on: windows) { _, fraction in
      #expect(fraction >= last && fraction <= 1)
      last = fraction
    }
    #expect(last > 0.99 && Self.models.count == 13)
    // The temporary file is known to nobody else.
    #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.url.path).isEmpty)

    let counter = Counter()
    let exact = try windows.map { try logits(files, $0) }
    #expect(try logits(files, windows[0], observer: counter) == exact[0])
    #expect(counter.sites.count >= 7)
    func loss(_ other: ModelFiles) throws -> Float {
      try zip(windows, exact).reduce(0) { sum, pair in
        sum
          + zip(try logits(other, pair.0), pair.1).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
    }
    let (plain, calibrated) = (try loss(files.rounded(to: .q4_0)), try loss(rounded))
    #expect(calibrated < plain, "\(name) \(calibrated / plain)")
    try readsAlikeInPieces(rounded.source)
  }

  /// An error before the kernel ends the program; what is there in memory changes no weight.
  @Test func tooLittleMemoryIsSaidAndElseChangesNothing() throws {
    let files = try ModelFiles(path: Self.folder.appendingPathComponent("llama2").path)
    let windows = tokens(files, seed: 20_261_128)
    func rounded(_ available: Int?) throws -> [[UInt8]] {
      let temporary = try TemporaryFolder()
      let calibration = try Calibration(
        files, to: .q4_0, try LinearAlgebra(threads: 1),
        compute: try Compute(kernels: KernelSet.best(environment: [:]), threads: 2),
        folder: temporary.url
      ) { available }
      let source = try calibration.run(on: windows).source
      return try source.tensorNames.sorted().map { name in
        var bytes = [UInt8](repeating: 0, count: try source.tensor(name).byteCount)
        try bytes.withUnsafeMutableBytes { try source.read(name, offset: 0, into: $0) }
        return bytes
      }
    }
    let least = 16 * files.description.hiddenSize * files.description.hiddenSize
    let error = #expect(throws: CalibrationError.self) { try rounded(least - 1) }
    #expect(
      error == .outOfMemory(layer: 0, neededBytes: least, availableBytes: least - 1))
    #expect(try rounded(1 << 30) == rounded(nil))
  }

  private func readsAlikeInPieces(_ source: any TensorSource) throws {
    for name in source.tensorNames {
      let count = try source.tensor(name).byteCount
      var (whole, pieces) = (
        [UInt8](repeating: 0, count: count), [UInt8](repeating: 1, count: count)
      )
      try whole.withUnsafeMutableBytes { try source.read(name, offset: 0, into: $0) }
      try pieces.withUnsafeMutableBytes { bytes in
        for start in stride(from: 0, to: count, by: 4097) {
          let part = UnsafeMutableRawBufferPointer(
            rebasing: bytes[start..<min(start + 4097, count)])
          try source.read(name, offset: start, into: part)
        }
      }
      #expect(whole == pieces, "\(name)")
    }
  }
}
