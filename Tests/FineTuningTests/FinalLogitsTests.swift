import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Adapters that PEFT has trained, used by the executor.
@Suite struct FinalLogitsTests {
  @Test(arguments: GoldenRun.all) func adaptedModelsGivePEFTsLogits(_ run: GoldenRun) throws {
    let model = try run.model().adapted(by: run.adapter("final"))
    let file = try SafetensorsFile(
      contentsOf: run.folder.appendingPathComponent("final_logits.safetensors"))
    let shape = try file.record("logits").shape
    let logits = try file.elements("logits", as: Float.self)
    let executor = Executor(model, compute: try makeCompute())
    let batch = try run.batches()[0]
    for (row, sequence) in batch.sequences.enumerated() {
      let output = try executor.forward([
        SequenceChunk(model.makeSequence(cache: .f32), tokens: sequence.tokens, wanted: .all)
      ])
      for position in sequence.tokens.indices {
        let start = (row * shape[1] + position) * shape[2]
        let expected = logits[start..<start + shape[2]]
        let off = zip(output.logits[position], expected).reduce(Float(0)) {
          max($0, abs($1.0 - $1.1))
        }
        #expect(off <= 1e-3, "\(row), \(position)")
      }
    }
  }
}
