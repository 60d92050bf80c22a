import Kernels
import Models

/// Matrices of a layer that take the same input, with their adapters: their A lie one below the
/// other, so that the input is multiplied with all of them at once.
final class LinearGroup {
  /// A matrix of the group.
  private struct Member {
    let kind: LinearKind
    let linear: DenseModel.Linear
    /// Of the outputs of all members, beside each other.
    let firstOutput: Int
    let pair: TrainedPair?
    /// Of the ranks of all pairs.
    let firstRank: Int
  }

  private let members: [Member]
  private let inputs: Int
  /// Outputs of all members.
  let outputs: Int
  /// [inputs, outputs]; nil where nobody asks for the gradient of the input.
  private let transposed: PackedWeights?
  /// A of all pairs [ranks, inputs], its gradient and moments; nil without adapters.
  private let lowRank: LowRank?

  private struct LowRank {
    let a: Tensor
    let gradient: Tensor
    let first: Tensor
    let second: Tensor
    let panels = (FloatPanels(), FloatPanels())
  }
  private var down: PackedWeights?
  private var up: PackedWeights?

  /// - Parameters:
  ///   - layer: at `index`.
  ///   - transposed: the group's matrices; nil where nobody asks `backward` for the gradient of the
  ///     input.
  init(
    _ layer: DenseModel.Layer, _ kinds: [LinearKind], index: Int, _ adapter: Adapter,
    transposed: PackedWeights?
  ) throws {
    var members: [Member] = []
    var (output, rank) = (0, 0)
    var a: [Float] = []
    var inputs = 0
    for kind in kinds {
      guard let linear = layer.linear(kind) else { continue }
      inputs = linear.weights.inputs
      let pair = adapter.pairs[LinearSite(layer: index, kind: kind)]
      members.append(
        Member(
          kind: kind, linear: linear, firstOutput: output,
          pair: try pair.map { try TrainedPair($0, scale: adapter.scale(rank: $0.rank)) },
          firstRank: rank))
      output += linear.weights.outputs
      rank += pair?.rank ?? 0
      a += pair?.a ?? []
    }
    self.members = members
    (self.inputs, outputs) = (inputs, output)
    self.transposed = transposed
    if rank > 0 {
      let tensor = try Tensor(rows: rank, columns: inputs)
      for row in 0..<rank { tensor[row].replace(with: a[row * inputs..<(row + 1) * inputs]) }
      lowRank = LowRank(
        a: tensor, gradient: try .zeros(like: tensor), first: try .zeros(like: tensor),
        second: try .zeros(like: tensor))
    } else {
      lowRank = nil
    }
  }

  var hasAdapters: Bool { lowRank != nil }

  var ranks: Int { lowRank?.a.rows ?? 0 }

  /// Lays the adapters out to be multiplied with, after they have changed.
  func pack(_ compute: Compute) throws {
    guard let lowRank else { return }
    down = try lowRank.panels.0.rows(of: lowRank.a, compute)
    up = try lowRank.panels.1.columns(of: lowRank.a, compute)
    for member in members { try member.pair?.pack(compute) }
  }

  /// outputs[i] [rows, N_i] of x [rows, inputs]; `low` becomes A x [rows, ranks], which `backward`
  /// wants again.
  func forward(_ x: Tensor, into outputs: [Tensor], low: Tensor?, _ space: Workspace) throws {
    let compute = space.compute
    var parts = zip(members, outputs).map { MatmulPart($0.linear.weights, into: $1) }
    if let down, let low { parts.append(MatmulPart(down, into: low)) }
    try compute.matmul(x, parts)
    for (member, output) in zip(members, outputs) {
      if let bias = member.linear.bias { compute.add(bias: bias, to: output) }
      guard let pair = member.pair, let up = pair.up, let low else { continue }
      let delta = try space.tensor(.delta, columns: output.columns)
      try compute.matmul(low, [MatmulPart(up, inputColumn: member.firstRank, into: delta)])
      compute.add(delta, times: pair.scale, to: output)
    }
  }

  /// Takes the gradient of all outputs [rows, outputs] back: adds to the gradients of the adapters,
  /// and sets that of the input where it is wanted.
  ///
  /// - Parameters:
  ///   - x: the input that `forward` had.
  ///   - low: what `forward` gave.
  ///   - sequences: the rows of each sequence.
  func backward(
    _ dy: Tensor, _ x: Tensor, low: Tensor?, sequences: [Range<Int>], into dx: Tensor?,
    _ space: Workspace
  ) throws {
    let compute = space.compute
    if let dx, let transposed { try compute.matmul(dy, transposed, into: dx) }
    guard let lowRank, let low, let up else { return }
    let all = try space.tensor(.lowRank, columns: lowRank.a.rows)
    try all.resize(rows: dy.rows)
    for member in members {
      guard let pair = member.pair, let down = pair.down else { continue }
      let own = try space.tensor(.lowRankOutput, columns: pair.rank)
      try compute.matmul(dy, [MatmulPart(down, inputColumn: member.firstOutput, into: own)])
      compute.scale(own, by: pair.scale)
      compute.copyHeads(
        own, from: HeadColumns(stride: 0), to: all,
        at: HeadColumns(column: member.firstRank, stride: 0), heads: 1, count: pair.rank)
      let scaled = try space.tensor(.lowRankInput, columns: pair.rank)
      try scaled.resize(rows: low.rows)
      compute.copyHeads(
        low, from: HeadColumns(column: member.firstRank, stride: 0), to: scaled,
        at: HeadColumns(stride: 0), heads: 1, count: pair.rank)
      compute.scale(scaled, by: pair.scale)
      compute.addOuterProducts(
        scaled, dy, column: member.firstOutput, sequences: sequences, to: pair.bGradient)
    }
    compute.addOuterProducts(all, x, sequences: sequences, to: lowRank.gradient)
    guard let dx else { return }
    let delta = try space.tensor(.delta, columns: inputs)
    try compute.matmul(all, up, into: delta)
    compute.add(delta, to: dx)
  }

  // MARK: Parameters

  func clearGradients() {
    lowRank?.gradient.clear()
    for member in members { member.pair?.bGradient.clear() }
  }

  func forgetMoments() {
    lowRank?.first.clear()
    lowRank?.second.clear()
    for member in members { member.pair?.forgetMoments() }
  }

  func step(_ step: AdamWStep, _ compute: Compute) {
    guard let lowRank else { return }
    compute.step(
      lowRank.a, gradient: lowRank.gradient, first: lowRank.first, second: lowRank.second, step)
    for member in members { member.pair?.step(step, compute) }
  }

  /// The pairs, or their gradients.
  func pairs(gradients: Bool) -> [(LinearKind, Adapter.Pair)] {
    guard let lowRank else { return [] }
    let a = gradients ? lowRank.gradient : lowRank.a
    return members.compactMap { member in
      guard let pair = member.pair else { return nil }
      let rows = member.firstRank..<member.firstRank + pair.rank
      return (
        member.kind,
        Adapter.Pair(
          rank: pair.rank, inputs: inputs, outputs: member.linear.weights.outputs,
          a: rows.flatMap { Array(a[$0]) },
          b: TrainedPair.transposed(gradients ? pair.bGradient : pair.b))
      )
    }
  }
}
