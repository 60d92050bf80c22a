import Kernels

/// What the blocks of one step share: the kernels, the rows of each sequence, and tensors that are
/// reused.
final class StepContext {
  /// The uses of reusable tensors. Two tensors that live at once have different uses.
  enum Use: Hashable {
    case residual, update, prepared, gathered, logits
    case query, key, value, mixed, attentionGate
    case plainQuery, ropeQuery, queryDown, latent, ropeKey, headOutput, compact
    case mixedChannels, channels, decay, learning
    case gate, up
    case expertScores, expertGate, expertUp, expertOutput, sharedUpdate, sharedGate
    case scored, expertUpdate
    case perLayerInputs, perLayerTable, perLayerInput, perLayerGate
    case observed
    case adapted, lowRank, lowRankDelta
  }

  let compute: Compute
  /// Is told of every input of a matrix.
  var observer: (any InputObserver)?
  /// Which rows belong to which sequence.
  var sequences: [SequenceRows] = []
  /// The sequences themselves, in the same order.
  var states: [SequenceState] = []
  /// [rows, layers * P], where the model has such.
  var perLayerInputs: Tensor?
  /// The description's ropes, for the positions in use.
  var ropes: [RopeTable]
  private let tensors = TensorPool<Use>()

  init(compute: Compute, ropes: [RopeTable]) {
    self.compute = compute
    self.ropes = ropes
  }

  /// A tensor whose contents are undefined; operations that write it set its rows.
  func tensor(_ use: Use, columns: Int) throws -> Tensor {
    try tensors.tensor(use, columns: columns)
  }

  /// Tells the observer, if there is one, what goes into matrices.
  ///
  /// - Returns: the same input to be multiplied: prepared already where it was observed, with the
  ///   same values as if the product prepared it.
  func observed(
    _ x: Tensor, _ preparation: RowPreparation, _ site: @autoclosure () -> InputSite
  ) throws -> (Tensor, RowPreparation) {
    guard let observer else { return (x, preparation) }
    var input = x
    if preparation.isAny {
      input = try tensor(.observed, columns: x.columns)
      try compute.prepare(x, preparation, into: input)
    }
    try observer.observe(input, rows: 0..<input.rows, into: site())
    return (input, .none)
  }

  /// The states that a layer of linear attention brings up to date.
  func recurrentRows(_ index: Int) -> [RecurrentRows] {
    zip(states, sequences).map { RecurrentRows(state: $0.recurrent(index), rows: $1.rows) }
  }

  /// Makes the ropes hold positions below `count`, growing by doubling up to `limit`.
  func extendRopes(to count: Int, limit: Int) {
    for index in ropes.indices where ropes[index].positions < count {
      ropes[index].extend(to: min(limit, max(256, count, 2 * ropes[index].positions)))
    }
  }
}
