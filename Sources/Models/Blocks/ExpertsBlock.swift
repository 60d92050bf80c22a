import Kernels

/// A mixture of experts. The rows of a step are grouped by expert, so that each expert's matrices
/// multiply all its rows at once; a row's sum is in the order of experts, the shared one last,
/// whatever shares the step.
struct ExpertsBlock: Sendable {
  private let router: LinearBlock
  private let routing: ExpertRouting
  private let activation: GatedActivation
  private let gate: MatrixStackBlock
  private let up: MatrixStackBlock
  private let down: MatrixStackBlock
  private let shared: GatedFeedForwardBlock?
  private let sharedGate: LinearBlock?

  init(_ description: ModelDescription.Experts, _ loader: WeightLoader) throws {
    router = try LinearBlock(description.router, loader)
    routing = try ExpertRouting(description, loader)
    activation = GatedActivation(description.activation)
    gate = try MatrixStackBlock(description.gate, loader)
    up = try MatrixStackBlock(description.up, loader)
    down = try MatrixStackBlock(description.down, loader)
    shared = try description.shared.map { try GatedFeedForwardBlock($0, loader) }
    sharedGate = try description.sharedGate.map { try LinearBlock($0, loader) }
  }

  var byteCount: Int {
    router.byteCount + gate.weights.byteCount + up.weights.byteCount + down.weights.byteCount
      + (shared?.byteCount ?? 0) + (sharedGate?.byteCount ?? 0)
  }

  /// Bytes of matrices that one token goes through.
  var bytesPerToken: Int {
    let all = gate.weights.byteCount + up.weights.byteCount + down.weights.byteCount
    return byteCount - all + all / routing.count * routing.chosen
  }

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, into update: Tensor, _ context: StepContext
  ) throws {
    let prepared = try context.tensor(.prepared, columns: x.columns)
    try context.compute.prepare(x, preparation, into: prepared)
    try run(prepared, scoring: prepared, into: update, context)
  }

  /// - Parameters:
  ///   - x: [rows, D], prepared.
  ///   - scored: [rows, D]: what the router sees.
  func run(
    _ x: Tensor, scoring scored: Tensor, into update: Tensor, _ context: StepContext
  ) throws {
    let scores = try context.tensor(.expertScores, columns: routing.count)
    try LinearBlock.run(scored, [router], into: [scores], context)
    let groups = ExpertGroups(try routing.choose(scores, context.compute), experts: routing.count)
    try runChosen(x, groups, into: update, context)
    guard let shared else { return }
    let sharedUpdate = try context.tensor(.sharedUpdate, columns: x.columns)
    try shared.run(x, .none, into: sharedUpdate, context)
    guard let sharedGate else { return context.compute.add(sharedUpdate, to: update) }
    let factors = try context.tensor(.sharedGate, columns: 1)
    try LinearBlock.run(x, [sharedGate], into: [factors], context)
    context.compute.sigmoidRows(factors)
    context.compute.add(sharedUpdate, weightedBy: factors, to: update)
  }

  private func runChosen(
    _ x: Tensor, _ groups: ExpertGroups, into update: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    if gate.isStreamed {
      for (expert, _) in groups.ranges {
        gate.prepare(expert)
        up.prepare(expert)
        down.prepare(expert)
      }
    }
    let gathered = try context.tensor(.gathered, columns: x.columns)
    let gates = try context.tensor(.expertGate, columns: gate.paddedOutputs)
    let ups = try context.tensor(.expertUp, columns: up.paddedOutputs)
    let outputs = try context.tensor(.expertOutput, columns: down.outputs)
    try compute.gather(x, rows: groups.rows, into: gathered)
    for (expert, rows) in groups.ranges {
      try context.observer?.observe(gathered, rows: rows, into: InputSite([gate, up], expert))
    }
    try compute.matmul(
      gathered,
      groups.ranges.flatMap { expert, rows in
        [
          MatmulPart(gate.weights, panels: gate.panels(expert), rows: rows, into: gates),
          MatmulPart(up.weights, panels: up.panels(expert), rows: rows, into: ups),
        ]
      })
    // The columns beyond F are zeros, and so are their gates.
    try compute.gate(activation, gates, ups, into: gates)
    for (expert, rows) in groups.ranges {
      try context.observer?.observe(gates, rows: rows, into: InputSite([down], expert))
    }
    try compute.matmul(
      gates,
      groups.ranges.map { expert, rows in
        MatmulPart(down.weights, panels: down.panels(expert), rows: rows, into: outputs)
      })
    try compute.weightedSums(of: outputs, groups.terms, into: update)
  }
}

/// The rows that go through each expert.
struct ExpertGroups {
  /// Of the step, expert after expert.
  private(set) var rows: [Int] = []
  /// Which of `rows` each expert has, ascending.
  private(set) var ranges: [(expert: Int, rows: Range<Int>)] = []
  /// Of each row of the step, its places in `rows` and their weights, by ascending expert.
  private(set) var terms: [[(row: Int, factor: Float)]]

  /// - Parameter choices: of each row, experts and their weights.
  init(_ choices: [[ExpertChoice]], experts: Int) {
    var members = [[(row: Int, weight: Float)]](repeating: [], count: experts)
    for (row, choice) in choices.enumerated() {
      for one in choice { members[one.expert].append((row, one.weight)) }
    }
    terms = choices.map { choice in
      var terms: [(row: Int, factor: Float)] = []
      terms.reserveCapacity(choice.count)
      return terms
    }
    for (expert, members) in members.enumerated() where !members.isEmpty {
      let first = rows.count
      for member in members {
        terms[member.row].append((rows.count, member.weight))
        rows.append(member.row)
      }
      ranges.append((expert, first..<rows.count))
    }
  }
}
