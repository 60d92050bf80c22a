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

  /// Is told what goes into the matrices of layers and head; the bits stay the same.
  package var observer: (any InputObserver)? {
    get { context.observer }
    set { context.observer = newValue }
  }

  /// - Parameter compute: kernels and threads; no other executor may use it at the same time.
  package init(_ model: Model, compute: Compute) {
    self.model = model
    context = StepContext(
      compute: compute,
      ropes: zip(model.description.ropes, model.inverseFrequencies).map { rope, frequencies in
        RopeTable(
          inverseFrequencies: frequencies, attentionFactor: Float(rope.attentionFactor ?? 1))
      })
  }

  /// What passes from one part of a model to the next, for the rows of a step in the order of its
  /// chunks. Tensors are overwritten by the next step of the executor that gave them.
  package struct Activations {
    /// [rows, D].
    package var hidden: Tensor
    /// [rows, layers * P], of models with per-layer inputs.
    package var perLayerInputs: Tensor?
    /// Keys [rows, K * key dimension] and values [rows, K * value dimension] of layers that later
    /// parts read, by layer.
    package var shared: [Int: (keys: Tensor, values: Tensor)]

    package init(
      hidden: Tensor, perLayerInputs: Tensor? = nil,
      shared: [Int: (keys: Tensor, values: Tensor)] = [:]
    ) {
      (self.hidden, self.perLayerInputs, self.shared) = (hidden, perLayerInputs, shared)
    }
  }

  /// What a step gave.
  package struct Output {
    /// Of the positions that were wanted, chunk after chunk [rows, V]; overwritten by the
    /// executor's next step. Without rows where the head is in another part.
    package let logits: Tensor
    /// One per chunk.
    package let chunks: [ChunkOutput]
    /// For the next part of the model; nil where the head is in this one.
    package let activations: Activations?
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
  /// - Parameter input: what the part of the model before this one gave for the same chunks; nil
  ///   for the part with the embedding.
  /// - Throws: `ForwardError` before anything has changed; `KernelError.outOfResources`, after
  ///   which no sequence has grown, and those with layers of linear attention cannot go on.
  package func forward(_ chunks: [SequenceChunk], from input: Activations? = nil) throws -> Output {
    try check(chunks)
    var wantedRows: [Int] = []
    var ranges: [Range<Int>] = []
    let tokens = try prepare(chunks, &wantedRows, &ranges)
    // Caches must not be kept alive, or copied when they grow, because of a step that has ended.
    defer {
      context.sequences.removeAll(keepingCapacity: true)
      context.states.removeAll(keepingCapacity: true)
      context.perLayerInputs = nil
    }
    let hidden = try context.tensor(.residual, columns: model.description.hiddenSize)
    if let input {
      try take(input, tokens.count, into: hidden)
    } else {
      try embed(tokens, into: hidden)
    }
    for chunk in chunks { chunk.sequence.begin() }
    var update: Tensor?
    for layer in model.layers { update = try layer.run(hidden, adding: update, context) }
    if let update { context.compute.add(update, to: hidden) }
    let logits = try context.tensor(.logits, columns: model.description.vocabularySize)
    try self.logits(hidden, wantedRows, into: logits)
    let outputs = zip(context.sequences, ranges).map { rows, range in
      ChunkOutput(rows: range, firstNonFinitePosition: firstNonFinite(hidden, rows, logits, range))
    }
    let activations = try model.head == nil ? activations(hidden) : nil
    for chunk in chunks { chunk.sequence.advance(by: chunk.tokens.count) }
    return Output(logits: logits, chunks: outputs, activations: activations)
  }

  private func embed(_ tokens: [Int32], into hidden: Tensor) throws {
    guard let table = model.embedding else {
      throw ForwardError.wrongActivations(reason: "the part begins after the embedding")
    }
    try context.compute.embed(tokens, table: table, into: hidden)
    if let multiplier = model.description.embedding.multiplier {
      context.compute.scale(hidden, by: Float(multiplier))
    }
    guard let block = model.perLayerEmbedding, let columns = perLayerColumns else { return }
    let inputs = try context.tensor(.perLayerInputs, columns: columns)
    try block.run(tokens, embedded: hidden, into: inputs, context)
    context.perLayerInputs = inputs
  }

  /// Layers times P.
  private var perLayerColumns: Int? {
    model.description.embedding.perLayer.map { $0.size * model.description.layers.count }
  }

  /// Takes over what the part before gave, if it fits.
  private func take(_ input: Activations, _ rows: Int, into hidden: Tensor) throws {
    func expect(_ tensor: Tensor?, _ what: String, columns: Int) throws {
      guard let tensor, tensor.rows == rows, tensor.columns == columns else {
        throw ForwardError.wrongActivations(
          reason: "the \(what) are not [\(rows), \(columns)]")
      }
    }
    guard model.embedding == nil else {
      throw ForwardError.wrongActivations(reason: "the part begins with the embedding")
    }
    try expect(input.hidden, "activations", columns: hidden.columns)
    if let columns = perLayerColumns {
      try expect(input.perLayerInputs, "per-layer inputs", columns: columns)
      context.perLayerInputs = input.perLayerInputs
    }
    for layer in model.statePlan.imported {
      guard let index = model.statePlan.cacheIndex(of: layer) else { continue }
      let cached = model.statePlan.cacheLayers[index]
      let shared = input.shared[layer]
      try expect(
        shared?.keys, "keys of layer \(layer)", columns: cached.heads * cached.keyDimension)
      try expect(
        shared?.values, "values of layer \(layer)",
        columns: cached.heads * cached.valueDimension)
      guard let shared else { continue }
      context.compute.store(
        keys: shared.keys, values: shared.values, layer: index, sequences: context.sequences)
    }
    if input.hidden !== hidden {
      try hidden.resize(rows: rows)
      for row in 0..<rows { hidden[row].replace(with: input.hidden[row]) }
    }
  }

  private func activations(_ hidden: Tensor) throws -> Activations {
    var result = Activations(hidden: hidden, perLayerInputs: context.perLayerInputs)
    for layer in model.statePlan.exported {
      guard let index = model.statePlan.cacheIndex(of: layer) else { continue }
      let cached = model.statePlan.cacheLayers[index]
      let keys = try Tensor(rows: 0, columns: cached.heads * cached.keyDimension)
      let values = try Tensor(rows: 0, columns: cached.heads * cached.valueDimension)
      try context.compute.read(
        layer: index, sequences: context.sequences, keys: keys, values: values)
      result.shared[layer] = (keys, values)
    }
    return result
  }

  private func check(_ chunks: [SequenceChunk]) throws {
    let limit = model.description.contextLength
    let vocabularySize = min(
      model.description.vocabularySize, model.description.embedding.perLayer?.rows ?? .max)
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
    context.states.removeAll(keepingCapacity: true)
    var tokens: [Int32] = []
    var longest = 0
    for chunk in chunks {
      let (start, rows) = (chunk.sequence.length, tokens.count..<tokens.count + chunk.tokens.count)
      try chunk.sequence.prepare(rows.count)
      context.sequences.append(
        SequenceRows(cache: chunk.sequence.cache, rows: rows, startPosition: start))
      context.states.append(chunk.sequence)
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

  private func logits(_ hidden: Tensor, _ wantedRows: [Int], into logits: Tensor) throws {
    guard let head = model.head else { return try logits.resize(rows: 0) }
    let gathered = try context.tensor(.gathered, columns: hidden.columns)
    try context.compute.gather(hidden, rows: wantedRows, into: gathered)
    try head.run(gathered, into: logits, context)
  }

  /// The residual stream keeps what once was not finite, so its end tells of every layer, wherever
  /// logits are wanted.
  private func firstNonFinite(
    _ hidden: Tensor, _ rows: SequenceRows, _ logits: Tensor, _ range: Range<Int>
  ) -> Int? {
    let firstHidden = rows.rows.firstIndex { Logits.hasNonFinite(hidden[$0]) }
      .map { rows.startPosition + $0 - rows.rows.lowerBound }
    guard model.head != nil else { return firstHidden }
    let firstLogits = range.firstIndex { Logits.hasNonFinite(logits[$0]) }
      .map { rows.startPosition + rows.rows.count - (range.upperBound - $0) }
    return [firstHidden, firstLogits].compactMap { $0 }.min()
  }
}
