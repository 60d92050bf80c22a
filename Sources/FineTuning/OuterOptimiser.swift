import Models

/// Joins what several machines have learnt from the same adapter, each on examples of its own, into
/// the next one: their mean change is a gradient to a step of Nesterov's (DiLoCo, Douillard et al.
/// 2023, arXiv:2311.08105).
///
/// Float64 arithmetic in the order of shards, rounded to float32 once a round: who was first does
/// not show.
package struct OuterOptimiser: Sendable, Equatable {
  /// How steps are taken.
  package struct Settings: Sendable, Hashable, Codable {
    package var learningRate: Double
    /// How much of the last rounds' direction stays.
    package var momentum: Double
    /// The norm that each shard's change is clipped to; nil: it is not.
    package var maximumNorm: Double?

    /// As in DiLoCo.
    package init(learningRate: Double = 0.7, momentum: Double = 0.9, maximumNorm: Double? = nil) {
      (self.learningRate, self.momentum, self.maximumNorm) = (learningRate, momentum, maximumNorm)
    }
  }

  /// What one shard learnt.
  package struct Change: Sendable, Equatable {
    /// After minus before.
    package var pairs: [LinearSite: Adapter.Pair]
    /// Tokens that were learnt: how much it counts.
    package var weight: Int

    package init(pairs: [LinearSite: Adapter.Pair], weight: Int) {
      (self.pairs, self.weight) = (pairs, weight)
    }
  }

  package private(set) var adapter: Adapter
  /// The direction so far; nil before the first round.
  package private(set) var velocity: Adapter?

  /// - Parameter velocity: of an earlier round, to go on from.
  package init(_ adapter: Adapter, velocity: Adapter? = nil) {
    (self.adapter, self.velocity) = (adapter, velocity)
  }

  /// Takes a round's step.
  ///
  /// - Parameter changes: of the same matrices as the adapter, in the order of their shards; those
  ///   of no weight do not count. Without any, nothing changes.
  package mutating func step(_ changes: [Change], _ settings: Settings) {
    let counted = changes.filter { $0.weight > 0 }
    let total = counted.reduce(0.0) { $0 + Double($1.weight) }
    guard total > 0 else { return }
    let factors = counted.map { change in
      Double(change.weight) / total * settings.clip(change.norm)
    }
    var next = velocity ?? adapter.zeros
    for site in adapter.sites {
      guard let pair = adapter.pairs[site], let past = next.pairs[site] else { continue }
      func learn(_ values: KeyPath<Adapter.Pair, [Float]>) -> (values: [Float], velocity: [Float]) {
        let parts = counted.map { $0.pairs[site]?[keyPath: values] ?? [] }
        var (moved, kept) = (pair[keyPath: values], past[keyPath: values])
        for index in moved.indices {
          var mean = 0.0
          for (part, factor) in zip(parts, factors) where index < part.count {
            mean += Double(part[index]) * factor
          }
          let speed = settings.momentum * Double(kept[index]) + mean
          kept[index] = Float(speed)
          moved[index] = Float(
            Double(moved[index]) + settings.learningRate * (mean + settings.momentum * speed))
        }
        return (moved, kept)
      }
      let (a, b) = (learn(\.a), learn(\.b))
      adapter.pairs[site]?.a = a.values
      adapter.pairs[site]?.b = b.values
      next.pairs[site]?.a = a.velocity
      next.pairs[site]?.b = b.velocity
    }
    velocity = next
  }
}

extension OuterOptimiser.Change {
  /// Of all its values.
  fileprivate var norm: Double { Adapter(alpha: 1, pairs: pairs).norm }
}

extension OuterOptimiser.Settings {
  fileprivate func clip(_ norm: Double) -> Double {
    guard let maximumNorm, norm > maximumNorm else { return 1 }
    return maximumNorm / norm
  }
}

extension Adapter {
  /// An adapter of the same shape, all of it 0.
  fileprivate var zeros: Adapter {
    var result = self
    for site in sites {
      result.pairs[site]?.a = Array(repeating: 0, count: pairs[site]?.a.count ?? 0)
      result.pairs[site]?.b = Array(repeating: 0, count: pairs[site]?.b.count ?? 0)
    }
    return result
  }
}
