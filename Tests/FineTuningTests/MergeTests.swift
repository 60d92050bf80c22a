import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

@Suite struct MergeTests {
  /// Against W + s B A in double arithmetic, in float32 and in the folder's bfloat16.
  @Test(arguments: ["llama3.1", "gemma3"]) func mergedWeightsAreTheSums(_ name: String) throws {
    var random = SeededRandom(seed: 9)
    let files = try ModelFiles(path: TrainerTests.path(name))
    let frozen = try FrozenModel(Model(files.description, from: files.source))
    let adapter = TrainerTests.adapter(frozen, &random)
    let place = try TemporaryFolder()
    let url = place.url.appendingPathComponent("merged.safetensors")
    try MergedTensorSource(files, adapter).writeSafetensors(to: url)
    let merged = try SafetensorsFile(contentsOf: url)
    #expect(merged.names == files.source.tensorNames)
    func floats(_ file: SafetensorsFile, _ tensor: String) throws -> [Float] {
      try file.withBytes(of: tensor) { bytes in
        stride(from: 0, to: bytes.count, by: 2).map {
          Float(bitPattern: UInt32(bytes[$0]) << 16 | UInt32(bytes[$0 + 1]) << 24)
        }
      }
    }
    let folder = try HuggingFaceFolder(URL(fileURLWithPath: TrainerTests.path(name)))
    var adapted: Set<String> = []
    for site in adapter.sites {
      let pair = try #require(adapter.pairs[site])
      let tensor = try #require(files.description.linear(at: site)).weight
      adapted.insert(tensor)
      let before = try floats(folder.files[0], tensor)
      let after = try floats(merged, tensor)
      for index in stride(from: 0, to: before.count, by: 37) {
        let (row, column) = (index / pair.inputs, index % pair.inputs)
        let product = (0..<pair.rank).reduce(0.0) {
          $0 + Double(pair.b[row * pair.rank + $1]) * Double(pair.a[$1 * pair.inputs + column])
        }
        let expected = Double(before[index]) + product * Double(adapter.scale(rank: pair.rank))
        #expect(abs(Double(after[index]) - expected) <= abs(expected) * 0x1p-8 + 1e-30)
      }
    }
    // All else is as it was.
    for tensor in merged.names where !adapted.contains(tensor) {
      let same = try merged.withBytes(of: tensor) { Data($0) }
        == folder.files[0].withBytes(of: tensor) { Data($0) }
      #expect(same, "\(tensor)")
    }
    // In pieces of any size.
    let source = try MergedTensorSource(files, adapter)
    let tensor = try #require(adapted.first)
    var piece = Data(count: 50)
    try piece.withUnsafeMutableBytes { try source.read(tensor, offset: 122, into: $0) }
    #expect(try piece == merged.withBytes(of: tensor) { Data($0[122..<172]) })
  }

  @Test func quantisedWeightsAreNotMergedInto() throws {
    let files = try ModelFiles(path: TrainerTests.path("llama2")).rounded(to: .q8_0)
    let frozen = try FrozenModel(Model(files.description, from: files.source))
    let adapter = Adapter.initial(for: frozen.dense.description, rank: 2, alpha: 4, seed: 1)
    #expect(throws: FormatError.self) { try MergedTensorSource(files, adapter) }
  }
}
