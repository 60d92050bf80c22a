import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Published FP8 files of MiMo-V2.5 have queries, keys and values in one matrix that was cut for
/// several processors before it was scaled.
@Suite struct CutMatrixTests {
  /// The finite values of FP8 (E4M3) by their codes.
  private static func value(_ code: UInt8) -> Float {
    let (exponent, mantissa) = (Int(code >> 3 & 15), Float(code & 7))
    let size =
      exponent == 0
      ? mantissa / 512
      : (1 + mantissa / 8) * Float(sign: .plus, exponent: exponent - 7, significand: 1)
    return code & 0x80 == 0 ? size : -size
  }

  /// Rows of queries, keys and values of one part after the other, and what is in them.
  private struct Matrix {
    var codes: [UInt8] = []
    /// One for each part, or for each 128 rows of it.
    var scales: [Float] = []
    /// Of queries, keys and values.
    var values: [[Float]] = [[], [], []]

    init(_ outputs: [Int], parts: Int, inputs: Int, _ random: inout SeededRandom) {
      for _ in 0..<parts {
        let rows = outputs.enumerated().flatMap { index, count in
          [Int](repeating: index, count: count / parts)
        }
        for (row, index) in rows.enumerated() {
          // Powers of two, so that BF16 can hold every product.
          if row % 128 == 0 {
            scales.append(
              Float(sign: .plus, exponent: .random(in: -6 ... -4, using: &random), significand: 1))
          }
          for _ in 0..<inputs {
            let code =
              UInt8.random(in: 0x30...0x40, using: &random)
              | (Bool.random(using: &random) ? 0x80 : 0)
            codes.append(code)
            values[index].append(CutMatrixTests.value(code) * scales[scales.count - 1])
          }
        }
      }
    }
  }

  private static let fixture = GoldenFolder.own.appendingPathComponent("models/mimo_v2_flash")

  /// Writes the fixture with other matrices of attention, cut or one by one.
  private func folder(_ parts: Int, isCut: Bool, scaleRows: Int = 0) throws -> TemporaryFolder {
    var random = SeededRandom(seed: 17)
    let place = try TemporaryFolder()
    let files = try ModelFiles(path: Self.fixture.path)
    var writer = SafetensorsWriter()
    var matrices: [String: Matrix] = [:]
    for name in files.source.tensorNames where name.hasSuffix("self_attn.q_proj.weight") {
      let layer = String(name.dropLast("q_proj.weight".count))
      let outputs = try ["q", "k", "v"].map {
        try files.source.tensor("\(layer)\($0)_proj.weight").shape[0]
      }
      matrices[layer] = Matrix(outputs, parts: parts, inputs: 64, &random)
    }
    for name in files.source.tensorNames {
      let layer = matrices.keys.first { name.hasPrefix($0) }
      if let layer, ["q", "k", "v"].contains(where: { name == "\(layer)\($0)_proj.weight" }) {
        continue
      }
      let tensor = try files.source.tensor(name)
      var bytes = [UInt8](repeating: 0, count: tensor.byteCount)
      try bytes.withUnsafeMutableBytes { try files.source.read(name, offset: 0, into: $0) }
      try writer.add(name, type: tensor.type, shape: tensor.shape, bytes: bytes)
    }
    for (layer, matrix) in matrices {
      if isCut {
        try writer.add(
          "\(layer)qkv_proj.weight", type: .float8E4M3, shape: [matrix.codes.count / 64, 64],
          bytes: matrix.codes)
        let scales = matrix.scales + [Float](repeating: 1, count: scaleRows)
        try writer.add("\(layer)qkv_proj.weight_scale_inv", shape: [scales.count, 1], scales)
      } else {
        for (name, values) in zip(["q", "k", "v"], matrix.values) {
          let halves = values.map { UInt16($0.bitPattern >> 16) }
          try writer.add(
            "\(layer)\(name)_proj.weight", type: .bfloat16, shape: [values.count / 64, 64],
            bytes: halves.withUnsafeBytes { [UInt8]($0) })
        }
      }
    }
    try writer.write(to: place.url.appendingPathComponent("model.safetensors"))
    try FileManager.default.copyItem(
      at: Self.fixture.appendingPathComponent("config.json"),
      to: place.url.appendingPathComponent("config.json"))
    return place
  }

  private func logits(_ folder: TemporaryFolder) throws -> [Float] {
    try Executor(Model(path: folder.url.path), compute: makeCompute())
      .logits(of: [5, 9, 200, 31, 7, 7, 12, 90, 3, 64], cache: .f32)
  }

  @Test(arguments: [1, 4, 8])
  func aCutMatrixGivesWhatItWasCutFrom(_ parts: Int) throws {
    let cut = try folder(parts, isCut: true)
    let (found, expected) = (try logits(cut), try logits(folder(parts, isCut: false)))
    #expect(largestDifference(found, expected) < 1e-3)
    #expect(try ModelFiles(path: cut.url.path).description.manifestVersion == 3)
    // Manifests carry it too.
    let description = try ModelFiles(path: cut.url.path).description
    let copy = try JSONDecoder().decode(ModelDescription.self, from: description.canonicalJSON())
    #expect(copy == description)
  }

  @Test func scalesThatFitNoNumberOfPartsAreNamed() throws {
    let place = try folder(4, isCut: true, scaleRows: 9)
    let error = try #require(throws: FormatError.self) { try ModelFiles(path: place.url.path) }
    #expect(error.code == .unsupported && error.reason.contains("qkv_proj.weight"))
  }
}
