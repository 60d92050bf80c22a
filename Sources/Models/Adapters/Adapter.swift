import Kernels
import ModelFormats

/// Low-rank adapters of some matrices of a model (LoRA, Hu et al. 2021, arXiv:2106.09685): W x
/// becomes W x + s (B (A x)).
package struct Adapter: Sendable, Equatable {
  /// A [rank, inputs] and B [outputs, rank], row after row.
  package struct Pair: Sendable, Equatable {
    package let rank: Int
    package let inputs: Int
    package let outputs: Int
    package var a: [Float]
    package var b: [Float]

    package init(rank: Int, inputs: Int, outputs: Int, a: [Float], b: [Float]) {
      precondition(a.count == rank * inputs && b.count == outputs * rank && rank > 0)
      (self.rank, self.inputs, self.outputs) = (rank, inputs, outputs)
      (self.a, self.b) = (a, b)
    }
  }

  /// LoRA's alpha.
  package var alpha: Double
  /// Whether s is alpha / sqrt(rank) (rank-stabilised, Kalajdzievski 2023, arXiv:2312.03732)
  /// instead of alpha / rank.
  package var isRankStabilised: Bool
  package var pairs: [LinearSite: Pair]

  package init(alpha: Double, isRankStabilised: Bool = false, pairs: [LinearSite: Pair]) {
    self.alpha = alpha
    self.isRankStabilised = isRankStabilised
    self.pairs = pairs
  }

  /// s, for a pair of `rank`.
  package func scale(rank: Int) -> Float {
    Float(isRankStabilised ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
  }

  /// Numbers that are learnt.
  package var parameterCount: Int {
    pairs.values.reduce(0) { $0 + $1.rank * ($1.inputs + $1.outputs) }
  }

  /// Numbers that an adapter of some matrices of every layer has.
  package static func parameterCount(
    of description: ModelDescription, rank: Int, kinds: Set<LinearKind>
  ) -> Int {
    description.layers.indices.reduce(0) { sum, layer in
      kinds.reduce(sum) { sum, kind in
        guard let matrix = description.linear(at: LinearSite(layer: layer, kind: kind)) else {
          return sum
        }
        return sum + rank * (matrix.inputs + matrix.outputs)
      }
    }
  }

  /// In the order in which sums run.
  package var sites: [LinearSite] { pairs.keys.sorted() }

  /// A new adapter: A uniform in +-1/sqrt(inputs) as PEFT begins it, B zero, so that the model is
  /// what it was.
  ///
  /// - Parameters:
  ///   - description: of a model as `ModelDescription.requireDense` wants it.
  ///   - kinds: which matrices of every layer.
  ///   - seed: of the numbers, which are the same on every machine: value i of a site is that of
  ///     `Philox.uniform` at position i under `seed` plus the site's place.
  package static func initial(
    for description: ModelDescription, rank: Int, alpha: Double, isRankStabilised: Bool = false,
    kinds: Set<LinearKind> = Set(LinearKind.allCases), seed: Int64
  ) -> Adapter {
    precondition(rank > 0)
    var adapter = Adapter(alpha: alpha, isRankStabilised: isRankStabilised, pairs: [:])
    var place: Int64 = 0
    for index in description.layers.indices {
      for kind in LinearKind.allCases where kinds.contains(kind) {
        let site = LinearSite(layer: index, kind: kind)
        guard let matrix = description.linear(at: site) else { continue }
        let bound = 1 / Double(matrix.inputs).squareRoot()
        let a = (0..<rank * matrix.inputs).map { position in
          Float((2 * Philox.uniform(seed: seed &+ place, position: position) - 1) * bound)
        }
        adapter.pairs[site] = Pair(
          rank: rank, inputs: matrix.inputs, outputs: matrix.outputs, a: a,
          b: Array(repeating: 0, count: matrix.outputs * rank))
        place += 1
      }
    }
    return adapter
  }

  /// Checks that each pair is of a matrix of the model.
  ///
  /// - Throws: `FormatError.badLayout` naming the first that is not.
  package func check(_ description: ModelDescription) throws {
    for site in sites { try check(site, description) }
  }

  private func check(_ site: LinearSite, _ description: ModelDescription) throws {
    guard let pair = pairs[site] else { return }
    let place = "the adapter of \(site.kind.rawValue) in layer \(site.layer)"
    guard let matrix = description.linear(at: site) else {
      throw FormatError(
        .badLayout, file: "adapter", reason: "\(place): the model has no such matrix")
    }
    guard pair.inputs == matrix.inputs, pair.outputs == matrix.outputs else {
      throw FormatError(
        .badLayout, file: "adapter",
        reason: "\(place) is of [\(pair.outputs), \(pair.inputs)], the matrix is "
          + "[\(matrix.outputs), \(matrix.inputs)]")
    }
  }
}

extension DenseModel.Layer {
  /// The matrix of a kind; nil where the layer does without.
  package func linear(_ kind: LinearKind) -> DenseModel.Linear? {
    switch kind {
    case .query: query
    case .key: key
    case .value: value
    case .output: output
    case .gate: gate
    case .up: up
    case .down: down
    }
  }
}
