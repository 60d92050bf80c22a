import Foundation
import Kernels
import ModelFormats

/// Reads token ids from a safetensors file and writes a model's logits to another, as they are
/// computed: a file of any length takes the memory of some rows.
///
/// - Parameters:
///   - inputPath: has `input_ids` int32 [B, T]; rows are independent sequences from position 0.
///   - outputPath: receives `logits` float32 [B, T, V], whole or not at all.
///   - cache: how keys and values are stored.
///   - check: called before anything is computed with T and the rows whose logits are in memory at
///     one time.
/// - Throws: `FormatError`, `ForwardError` (a token id outside the vocabulary, T beyond the
///   context), `KernelError`; what `check` throws.
package func writeLogits(
  _ model: Model, inputPath: String, outputPath: String, cache: CacheElement = .f32,
  compute: Compute, check: (_ tokens: Int, _ logitRows: Int) throws -> Void = { _, _ in }
) throws {
  let input = try SafetensorsFile(contentsOf: URL(fileURLWithPath: inputPath))
  let ids = try input.elements("input_ids", as: Int32.self, shape: [nil, nil])
  let shape = try input.record("input_ids").shape
  let executor = Executor(model, compute: compute)
  let (batch, length) = (shape[0], shape[1])
  let vocabulary = model.description.vocabularySize
  // Rows of at most 32 MiB at a time.
  let chunk = max(1, min(256, (8 << 20) / vocabulary))
  try check(length, min(chunk, length))
  let temporary = outputPath + ".new"
  guard let file = fopen(temporary, "wb") else { throw unwritable(temporary) }
  do {
    defer { fclose(file) }
    func write(_ bytes: UnsafeRawBufferPointer) throws {
      guard fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count else {
        throw unwritable(temporary)
      }
    }
    try SafetensorsWriter.header(
      ofOnly: "logits", type: .float32, shape: [batch, length, vocabulary]
    ).withUnsafeBytes { try write($0) }
    for row in 0..<batch where length > 0 {
      let tokens = Array(ids[row * length..<(row + 1) * length])
      try executor.forEachLogits(of: tokens, cache: cache, chunk: chunk) {
        try write(UnsafeRawBufferPointer($0))
      }
    }
    guard fflush(file) == 0 else { throw unwritable(temporary) }
  } catch {
    unlink(temporary)
    throw error
  }
  guard rename(temporary, outputPath) == 0 else { throw unwritable(outputPath) }
}

private func unwritable(_ path: String) -> FormatError {
  FormatError(.unreadable, file: path, reason: "cannot write: \(String(cString: strerror(errno)))")
}

extension Executor {
  /// The logits of every position of one sequence, [T, V] in a row, computed `chunk` tokens at a
  /// time.
  ///
  /// - Throws: `ForwardError`; `KernelError.outOfResources`.
  package func logits(
    of tokens: [Int32], cache: CacheElement, chunk: Int = 256
  ) throws -> [Float] {
    var result: [Float] = []
    try forEachLogits(of: tokens, cache: cache, chunk: chunk) { result += $0 }
    return result
  }

  /// Calls `body` with the logits [V] of every position of one sequence in order, computed `chunk`
  /// tokens at a time.
  ///
  /// - Throws: `ForwardError`; `KernelError.outOfResources`; what `body` throws.
  package func forEachLogits(
    of tokens: [Int32], cache: CacheElement, chunk: Int = 256,
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    let sequence = model.makeSequence(cache: cache)
    for start in stride(from: 0, to: tokens.count, by: max(1, chunk)) {
      let part = Array(tokens[start..<min(tokens.count, start + max(1, chunk))])
      let output = try forward([SequenceChunk(sequence, tokens: part, wanted: .all)])
      for row in output.chunks[0].rows { try body(output.logits[row]) }
    }
  }
}
