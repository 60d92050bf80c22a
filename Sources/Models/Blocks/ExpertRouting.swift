import Kernels

/// An expert that a row goes through, and the weight of what it gives.
struct ExpertChoice: Equatable, Sendable {
  var expert: Int
  var weight: Float
}

/// From a router's logits to the experts of each row.
struct ExpertRouting: Sendable {
  let count: Int
  let chosen: Int
  private let rule: ModelDescription.Routing
  private let correction: [Float]?
  private let expertScales: [Float]?

  init(_ description: ModelDescription.Experts, _ loader: WeightLoader) throws {
    (count, chosen, rule) = (description.count, description.chosen, description.routing)
    let shape = [count]
    correction = try rule.correction.map {
      try loader.vector(TensorRequirement(name: $0, shape: shape))
    }
    expertScales = try rule.expertScales.map {
      try loader.vector(TensorRequirement(name: $0, shape: shape))
    }
  }

  /// The experts of each row of `logits` [rows, experts], which become scores.
  func choose(_ logits: Tensor, _ compute: Compute) throws -> [[ExpertChoice]] {
    switch rule.scoring {
    case .softmax: compute.softmaxRows(logits)
    case .sigmoid: compute.sigmoidRows(logits)
    }
    return (0..<logits.rows).map { choose(Array(logits[$0])) }
  }

  /// - Parameter scores: of each expert.
  func choose(_ scores: [Float]) -> [ExpertChoice] {
    var measures = scores
    if let correction { for index in measures.indices { measures[index] += correction[index] } }
    let candidates = rule.groups.map { groups in
      let each = count / groups.count
      let best = Self.greatest(groups.chosen, of: (0..<groups.count).map { group in
        let members = measures[group * each..<(group + 1) * each]
        return Self.measure(members, groups.measure)
      })
      return best.sorted().flatMap { Array($0 * each..<($0 + 1) * each) }
    }
    let experts: [Int]
    if let candidates {
      experts = Self.greatest(chosen, of: candidates.map { measures[$0] }).map { candidates[$0] }
    } else {
      experts = Self.greatest(chosen, of: measures)
    }
    return weights(of: experts.sorted(), scores)
  }

  /// Sums are in ascending order of experts.
  private func weights(of experts: [Int], _ scores: [Float]) -> [ExpertChoice] {
    var divisor: Float = 1
    if rule.isNormalised {
      divisor = experts.reduce(0) { $0 + scores[$1] } + Float(rule.normalisationEpsilon ?? 0)
    }
    return experts.map { expert in
      var weight = rule.isNormalised ? scores[expert] / divisor : scores[expert]
      if let scale = rule.scale { weight *= Float(scale) }
      if let expertScales { weight *= expertScales[expert] }
      return ExpertChoice(expert: expert, weight: weight)
    }
  }

  private static func measure(
    _ scores: ArraySlice<Float>, _ rule: ModelDescription.Routing.Groups.Measure
  ) -> Float {
    let values = Array(scores)
    let best = greatest(rule == .greatest ? 1 : 2, of: values)
    return best.reduce(0) { $0 + values[$1] }
  }

  /// The indexes of the `count` greatest values, greatest first; ties go to the lower index, NaN
  /// counts as lowest.
  static func greatest(_ count: Int, of values: [Float]) -> [Int] {
    var best: [Int] = []
    best.reserveCapacity(count + 1)
    for (index, value) in values.enumerated() {
      if best.count == count, let last = best.last, !isGreater(value, than: values[last]) {
        continue
      }
      let place = best.firstIndex { isGreater(value, than: values[$0]) } ?? best.count
      best.insert(index, at: place)
      if best.count > count { best.removeLast() }
    }
    return best
  }

  private static func isGreater(_ a: Float, than b: Float) -> Bool {
    a > b || (b.isNaN && !a.isNaN)
  }
}
