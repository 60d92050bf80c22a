import Foundation
import Kernels
import ModelFormats

/// Reads token ids from a safetensors file and writes a model's logits to another.
///
/// - Parameters:
///   - modelPath: a GGUF file or Hugging Face folder.
///   - inputPath: has `input_ids` int32 [B, T]; rows are independent sequences from position 0.
///   - outputPath: receives `logits` float32 [B, T, V].
///   - cache: how keys and values are stored.
///   - weights: as stored, or dequantised to float32.
/// - Throws: `FormatError`, `ForwardError` (a token id outside the vocabulary, T beyond the
///   context), `KernelError`.
package func writeLogits(
  modelPath: String, inputPath: String, outputPath: String, cache: CacheElement = .f32,
  weights: Model.LoadOptions.Weights = .asStored, compute: Compute
) throws {
  let input = try SafetensorsFile(contentsOf: URL(fileURLWithPath: inputPath))
  let ids = try input.elements("input_ids", as: Int32.self, shape: [nil, nil])
  let shape = try input.record("input_ids").shape
  let model = try Model(path: modelPath, options: .init(weights: weights))
  let executor = Executor(model, compute: compute)
  let (batch, length) = (shape[0], shape[1])
  var logits: [Float] = []
  for row in 0..<batch where length > 0 {
    let tokens = Array(ids[row * length..<(row + 1) * length])
    logits += try executor.logits(of: tokens, cache: cache)
  }
  var writer = SafetensorsWriter()
  try writer.add(
    "logits", shape: [batch, length, model.description.vocabularySize], logits)
  try writer.write(to: URL(fileURLWithPath: outputPath))
}

extension Executor {
  /// The logits of every position of one sequence, [T, V] in a row, computed `chunk` tokens at a
  /// time.
  ///
  /// - Throws: `ForwardError`; `KernelError.outOfResources`.
  package func logits(
    of tokens: [Int32], cache: CacheElement, chunk: Int = 256
  ) throws -> [Float] {
    let sequence = model.makeSequence(cache: cache)
    var result: [Float] = []
    for start in stride(from: 0, to: tokens.count, by: max(1, chunk)) {
      let part = Array(tokens[start..<min(tokens.count, start + max(1, chunk))])
      let output = try forward([SequenceChunk(sequence, tokens: part, wanted: .all)])
      for row in output.chunks[0].rows { result += output.logits[row] }
    }
    return result
  }
}
