import Kernels

/// A gated feed-forward and experts beside it.
struct GatedAndExpertsBlock: Sendable {
  private let gated: GatedFeedForwardBlock
  private let gatedOutputNorm: RowNorm
  private let routerNorm: RowNorm
  private let expertsNorm: RowNorm
  private let experts: ExpertsBlock
  private let expertsOutputNorm: RowNorm

  init(_ description: ModelDescription.GatedAndExperts, _ loader: WeightLoader) throws {
    gated = try GatedFeedForwardBlock(description.gated, loader)
    gatedOutputNorm = try RowNorm(description.gatedOutputNorm, loader)
    routerNorm = try RowNorm(description.routerNorm, loader)
    expertsNorm = try RowNorm(description.expertsNorm, loader)
    experts = try ExpertsBlock(description.experts, loader)
    expertsOutputNorm = try RowNorm(description.expertsOutputNorm, loader)
  }

  var byteCount: Int { gated.byteCount + experts.byteCount }

  var bytesPerToken: Int { gated.byteCount + experts.bytesPerToken }

  /// update[rows, D] from x[rows, D], prepared first for the gated feed-forward, which may read
  /// `update`.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, into update: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    // The preparation adds to x what is pending; the experts see x after that.
    let prepared = try context.tensor(.prepared, columns: x.columns)
    try compute.prepare(x, preparation, into: prepared)
    try gated.run(prepared, .none, into: update, context)
    try normalise(update, gatedOutputNorm, compute)
    let scored = try context.tensor(.scored, columns: x.columns)
    try compute.prepare(x, .norm(routerNorm), into: scored)
    try compute.prepare(x, .norm(expertsNorm), into: prepared)
    let expertUpdate = try context.tensor(.expertUpdate, columns: x.columns)
    try experts.run(prepared, scoring: scored, into: expertUpdate, context)
    try normalise(expertUpdate, expertsOutputNorm, compute)
    compute.add(expertUpdate, to: update)
  }

  private func normalise(_ x: Tensor, _ norm: RowNorm, _ compute: Compute) throws {
    try compute.rmsNorm(x, weight: norm.weight, epsilon: norm.epsilon, into: x)
  }
}
