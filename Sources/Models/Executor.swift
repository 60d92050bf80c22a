import Kernels

/// Computes steps of any number of sequences with one model.
///
/// The rows of all sequences of a step go through every matrix together. A sequence's logits depend
/// on its own tokens alone, bit for bit: not on what shares the step, on how its tokens are cut
/// into chunks, or on threads or processor. Owned by one thread at a time.
package final class Executor {
  /// What is executed.
  package let model: Model
  private let context: StepContext

  /// The kernels and threads that it runs on.
  package var compute: Compute { context.compute }

  /// - Parameter compute: kernels and threads; no other executor may use it at the same time.
  package init(_ model: Model, compute: Compute) {
    self.model = model
    context = StepContext(
      compute: compute,
      ropes: model.inverseFrequencies.map { RopeTable(inverseFrequencies: $0) })
  }

  /// What a step gave.
  package struct Output {
    /// Of the positions that were wanted, chunk after chunk [rows, V]; overwritten by the
    /// executor's next step.
    package let logits: Tensor
    /// One per chunk.
    package let chunks: [ChunkOutput]
  }

  /// What a step gave for one chunk.
  package struct ChunkOutput: Sendable, Hashable {
    /// The chunk's rows of `logits`: its last position, all, or none.
    package let rows: Range<Int>
    /// The first position of the chunk at which the last layer's output, or a logit that was
    /// wanted, is infinite or NaN. The request fails there; other sequences are not affected.
    package let firstNonFinitePosition: Int?
  }

  /// Appends each chunk's tokens to its sequence and computes the logits that are wanted.
  ///
  /// - Throws: `ForwardError` before anything has changed; `KernelError.outOfResources`, after
  ///   which no sequence has grown.
  package func forward(_ chunks: [SequenceChunk]) throws -> Output {
    try check(chunks)
    var wantedRows: [Int] = []
    var ranges: [Range<Int>] = []
    let tokens = try prepare(chunks, &wantedRows, &ranges)
    let hidden = try context.tensor(.residual, columns: model.description.hiddenSize)
    try context.compute.embed(tokens, table: model.embedding, into: hidden)
    var update: Tensor?
    for (index, layer) in model.layers.enumerated() {
      update = try layer.run(hidden, adding: update, layer: index, context)
    }
    if let update { context.compute.add(update, to: hidden) }
    let logits = try self.logits(hidden, wantedRows)
    let outputs = zip(context.sequences, ranges).map { rows, range in
      ChunkOutput(rows: range, firstNonFinitePosition: firstNonFinite(hidden, rows, logits, range))
    }
    for chunk in chunks { chunk.sequence.advance(by: chunk.tokens.count) }
    // Caches must not be kept alive, or copied when they grow, because of a step that has ended.
    context.sequences.removeAll(keepingCapacity: true)
    return Output(logits: logits, chunks: outputs)
  }

  private func check(_ chunks: [SequenceChunk]) throws {
    let (vocabularySize, limit) = (
      model.description.vocabularySize, model.description.contextLength
    )
    for (index, chunk) in chunks.enumerated() {
      guard !chunk.tokens.isEmpty else { throw ForwardError.emptyChunk(chunk: index) }
      let length = chunk.sequence.length + chunk.tokens.count
      guard length <= limit else {
        throw ForwardError.contextExceeded(chunk: index, length: length, limit: limit)
      }
      if let bad = chunk.tokens.firstIndex(where: { $0 < 0 || Int($0) >= vocabularySize }) {
        throw ForwardError.tokenOutOfRange(
          chunk: index, index: bad, token: chunk.tokens[bad], vocabularySize: vocabularySize)
      }
    }
    precondition(
      Set(chunks.map { ObjectIdentifier($0.sequence) }).count == chunks.count,
      "a sequence has two chunks in one step")
  }

  /// Lays the chunks out as rows and makes their caches writable; returns the rows' tokens.
  private func prepare(
    _ chunks: [SequenceChunk], _ wantedRows: inout [Int], _ ranges: inout [Range<Int>]
  ) throws -> [Int32] {
    context.sequences.removeAll(keepingCapacity: true)
    var tokens: [Int32] = []
    var longest = 0
    for chunk in chunks {
      let (start, rows) = (chunk.sequence.length, tokens.count..<tokens.count + chunk.tokens.count)
      try chunk.sequence.cache.prepare(start..<start + rows.count)
      context.sequences.append(
        SequenceRows(cache: chunk.sequence.cache, rows: rows, startPosition: start))
      tokens.append(contentsOf: chunk.tokens)
      longest = max(longest, start + rows.count)
      let first = wantedRows.count
      switch chunk.wanted {
      case .none: break
      case .last: wantedRows.append(rows.upperBound - 1)
      case .all: wantedRows.append(contentsOf: rows)
      }
      ranges.append(first..<wantedRows.count)
    }
    context.extendRopes(to: longest, limit: model.description.contextLength)
    return tokens
  }

  private func logits(_ hidden: Tensor, _ wantedRows: [Int]) throws -> Tensor {
    let logits = try context.tensor(.logits, columns: model.description.vocabularySize)
    let gathered = try context.tensor(.gathered, columns: hidden.columns)
    try context.compute.gather(hidden, rows: wantedRows, into: gathered)
    try LinearBlock.run(
      gathered, prepared: .norm(model.finalNorm), [model.output], into: [logits], context)
    return logits
  }

  /// The residual stream keeps what once was not finite, so its end tells of every layer, wherever
  /// logits are wanted.
  private func firstNonFinite(
    _ hidden: Tensor, _ rows: SequenceRows, _ logits: Tensor, _ range: Range<Int>
  ) -> Int? {
    let firstHidden = rows.rows.firstIndex { Logits.hasNonFinite(hidden[$0]) }
      .map { rows.startPosition + $0 - rows.rows.lowerBound }
    let firstLogits = range.firstIndex { Logits.hasNonFinite(logits[$0]) }
      .map { rows.startPosition + rows.rows.count - (range.upperBound - $0) }
    return [firstHidden, firstLogits].compactMap { $0 }.min()
  }
}
