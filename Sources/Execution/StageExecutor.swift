import Kernels
import Models
import WirePayloads
import WireProtocol

/// Runs `stage_forward` units: whole sequences through one part of a model, from activations to
/// activations, or to scores where the part has the head.
///
/// How many rows share a pass decides speed and memory, never bits.
package struct StageExecutor {
  /// What a part gave.
  package enum Result {
    case activations(StageActivations)
    case scores(StageScores)
  }

  /// Neighbouring sequences, or a piece of one, that go through the part together.
  package struct Pass: Equatable, Sendable {
    /// Among the rows of all sequences.
    package let rows: Range<Int>
    /// Each with its positions.
    package let pieces: [(sequence: Int, positions: Range<Int>)]

    package static func == (left: Pass, right: Pass) -> Bool {
      left.rows == right.rows && left.pieces.elementsEqual(right.pieces, by: ==)
    }
  }

  private let executor: Executor
  private let inputs: StageActivations
  private let cache: CacheElement
  private let passes: [Pass]
  private var model: Model { executor.model }

  /// Rows of a pass: more bring no speed.
  private static let mostRows = 512
  /// Logits of a pass, so that they take 64 MiB at most.
  private static let mostLogits = 1 << 24

  /// - Parameters:
  ///   - model: the part.
  ///   - compute: not shared with another executor at the same time.
  ///   - rows: of a pass at most, 1 or more; nil: as many as serve speed.
  package init(
    _ model: Model, inputs: StageActivations, cache: CacheType, compute: Compute,
    rows: Int? = nil
  ) {
    executor = Executor(model, compute: compute)
    self.inputs = inputs
    self.cache = CacheElement(cache)
    passes = Self.passes(
      inputs.sequences.map(\.count), rows: rows ?? Self.rowLimit(of: model.part, model.description))
  }

  /// Rows of a pass that serve speed.
  package static func rowLimit(of part: ModelPart, _ description: ModelDescription) -> Int {
    guard part.hasHead else { return mostRows }
    return max(1, min(mostRows, mostLogits / max(1, description.vocabularySize)))
  }

  /// As many whole sequences as fit into each pass; one that is longer goes alone, in pieces.
  ///
  /// - Parameters:
  ///   - lengths: of the sequences, 1 or more each.
  ///   - rows: of a pass at most, 1 or more.
  package static func passes(_ lengths: [Int], rows: Int) -> [Pass] {
    var passes: [Pass] = []
    var pieces: [(sequence: Int, positions: Range<Int>)] = []
    var start = 0
    var end = 0
    func close() {
      if start < end { passes.append(Pass(rows: start..<end, pieces: pieces)) }
      (start, pieces) = (end, [])
    }
    for (sequence, length) in lengths.enumerated() {
      if end - start + length > rows { close() }
      for first in stride(from: 0, to: length, by: rows) {
        let positions = first..<min(length, first + rows)
        pieces.append((sequence, positions))
        end += positions.count
        if length > rows { close() }
      }
    }
    close()
    return passes
  }

  /// Computes the unit.
  ///
  /// - Parameters:
  ///   - progress: called after each pass with the tokens that it ran.
  ///   - isCancelled: asked before each pass.
  /// - Throws: `ExecutionError` (`cancelled` among them); `ForwardError` for activations that do
  ///   not fit the part; `KernelError.outOfResources`.
  package func run(
    progress: (_ tokens: Int) -> Void = { _ in }, isCancelled: () -> Bool = { false }
  ) throws -> Result {
    try checkTokens()
    try checkTensors()
    var output = StageActivations(sequences: inputs.sequences)
    var scores = inputs.sequences.map { StageScores.Sequence(tokens: $0.count) }
    var last: SequenceState?
    for pass in passes {
      if isCancelled() { throw ExecutionError.cancelled }
      let chunks = pass.pieces.map { sequence, positions in
        let state =
          (positions.lowerBound > 0 ? last : nil) ?? model.makeSequence(cache: cache)
        last = state
        return SequenceChunk(
          state, tokens: Array(inputs.sequences[sequence][positions]),
          wanted: model.part.hasHead ? .all : .none)
      }
      let step = try executor.forward(chunks, from: activations(of: pass.rows))
      if let activations = step.activations {
        append(activations, to: &output)
      } else {
        for (piece, chunk) in zip(pass.pieces, step.chunks) {
          score(piece.positions, chunk, step.logits, of: piece.sequence, &scores)
        }
      }
      progress(pass.rows.count)
    }
    return model.part.hasHead ? .scores(StageScores(sequences: scores)) : .activations(output)
  }

  private func checkTokens() throws {
    let vocabulary = model.description.vocabularySize
    for (index, tokens) in inputs.sequences.enumerated() {
      if let token = tokens.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
        throw ExecutionError.tokenOutOfRange(
          sequence: index, token: token, vocabulary: vocabulary)
      }
      let context = model.description.contextLength
      guard tokens.count <= context else {
        throw ForwardError.contextExceeded(chunk: index, length: tokens.count, limit: context)
      }
    }
  }

  /// Tensors that this part does not take would change nothing, and still the unit's name.
  private func checkTensors() throws {
    let (part, plan) = (model.part, model.statePlan)
    func require(_ condition: Bool, _ reason: String) throws {
      guard condition else { throw ForwardError.wrongActivations(reason: reason) }
    }
    try require(
      part.hasEmbedding == (inputs.hidden == nil),
      part.hasEmbedding
        ? "the part begins with tokens, not with activations" : "the activations are missing")
    let takesPerLayer = model.description.embedding.perLayer != nil && !part.hasEmbedding
    try require(
      takesPerLayer == (inputs.perLayerInputs != nil),
      takesPerLayer ? "the per-layer inputs are missing" : "the part takes no per-layer inputs")
    try require(
      Set(inputs.shared.keys) == Set(plan.imported),
      "keys and values are of layers \(inputs.shared.keys.sorted()), the part reads "
        + "\(plan.imported)")
  }

  /// The rows of a pass; nil where it begins with tokens.
  private func activations(of rows: Range<Int>) throws -> Executor.Activations? {
    func tensor(_ source: StageActivations.Rows) throws -> Tensor {
      let tensor = try Tensor(rows: rows.count, columns: source.columns)
      for row in 0..<rows.count {
        let start = (rows.lowerBound + row) * source.columns
        tensor[row].replace(with: source.values[start..<start + source.columns])
      }
      return tensor
    }
    guard let hidden = inputs.hidden else { return nil }
    return Executor.Activations(
      hidden: try tensor(hidden), perLayerInputs: try inputs.perLayerInputs.map(tensor),
      shared: try inputs.shared.mapValues { (try tensor($0.keys), try tensor($0.values)) })
  }

  private func append(_ step: Executor.Activations, to output: inout StageActivations) {
    func append(_ tensor: Tensor, to rows: inout StageActivations.Rows?) {
      var result = rows ?? StageActivations.Rows(columns: tensor.columns, values: [])
      rows = nil
      for row in 0..<tensor.rows {
        // Which NaN it is depends on the processor, and a result must not.
        result.values.append(contentsOf: tensor[row].lazy.map { $0.isNaN ? .nan : $0 })
      }
      rows = result
    }
    append(step.hidden, to: &output.hidden)
    if let perLayer = step.perLayerInputs { append(perLayer, to: &output.perLayerInputs) }
    for (layer, tensors) in step.shared {
      var (keys, values) = (output.shared[layer]?.keys, output.shared[layer]?.values)
      output.shared[layer] = nil
      append(tensors.keys, to: &keys)
      append(tensors.values, to: &values)
      if let keys, let values {
        output.shared[layer] = StageActivations.Shared(keys: keys, values: values)
      }
    }
  }

  private func score(
    _ positions: Range<Int>, _ chunk: Executor.ChunkOutput, _ logits: Tensor, of sequence: Int,
    _ scores: inout [StageScores.Sequence]
  ) {
    let tokens = inputs.sequences[sequence]
    if scores[sequence].firstNonFinite == nil {
      scores[sequence].firstNonFinite = chunk.firstNonFinitePosition
    }
    let end = scores[sequence].firstNonFinite ?? .max
    for (row, position) in zip(chunk.rows, positions) where position < end {
      let values = logits[row]
      let normal = executor.compute.logSoftmax(values)
      let likeliest = Logits.argMax(values)
      scores[sequence].likeliest[position] = Int32(likeliest)
      scores[sequence].likeliestLogprobs[position] = normal.logProbability(of: values[likeliest])
      if position + 1 < tokens.count {
        scores[sequence].logprobs[position] =
          normal.logProbability(of: values[Int(tokens[position + 1])])
      }
    }
  }
}
