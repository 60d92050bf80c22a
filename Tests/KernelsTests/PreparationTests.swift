import Kernels
import TestSupport
import Testing

/// What happens to rows on their way into a product or the cache gives the bits of separate steps.
@Suite struct PreparationTests {
  @Test(arguments: [WeightType.f32, .f16, .q8_0, .q4K, .q6K])
  func whatIsAddedOnTheWayStaysAndDoesNotChangeBits(type: WeightType) throws {
    var random = SeededRandom(seed: 31)
    let (rows, inputs) = (40, 512)
    let (x, update) = (
      random.matrix(rows, inputs, .extreme), random.matrix(rows, inputs, .extreme)
    )
    let norm = RowNorm(weight: random.values(inputs, .ordinary), epsilon: 1e-5)
    let weights = try weights(type, inputs, &random)
    for variant in KernelSet.available {
      let compute = try compute(variant, threads: 2)
      let (apart, together) = (try Tensor(x), try Tensor(x))
      let results = try (0..<2).map { _ in try Tensor(rows: 0, columns: weights.outputs) }
      compute.add(try Tensor(update), to: apart)
      try compute.matmul(apart, prepared: .norm(norm), [weights], into: [results[0]])
      try compute.matmul(
        together, prepared: .norm(norm, adding: try Tensor(update)), [weights], into: [results[1]])
      #expect(sameBits(apart.values, together.values), "\(variant)")
      #expect(sameBits(results[0].values, results[1].values), "\(variant)")
    }
  }

  @Test(arguments: [WeightType.f32, .q8_0], GatedActivation.allCases)
  func gatesOnTheWayDoNotChangeBits(type: WeightType, activation: GatedActivation) throws {
    var random = SeededRandom(seed: 32)
    let (rows, inputs) = (40, 512)
    let (gates, ups) = (
      try Tensor(random.matrix(rows, inputs, .extreme)),
      try Tensor(random.matrix(rows, inputs, .extreme))
    )
    let weights = try weights(type, inputs, &random)
    for variant in KernelSet.available {
      let compute = try compute(variant, threads: 2)
      let gated = try Tensor(rows: 0, columns: inputs)
      let results = try (0..<2).map { _ in try Tensor(rows: 0, columns: weights.outputs) }
      try compute.gate(activation, gates, ups, into: gated)
      try compute.matmul(gated, [weights], into: [results[0]])
      try compute.matmul(
        gates, prepared: .gate(activation, up: ups), [weights], into: [results[1]])
      #expect(sameBits(results[0].values, results[1].values), "\(variant)")
    }
  }

  /// Sequences of one row, of a few and of many in one step, as when prompts join decoding.
  @Test(arguments: [true, false], [CacheElement.f16, .f32])
  func attendingGivesTheBitsOfItsSteps(isInterleaved: Bool, element: CacheElement) throws {
    var random = SeededRandom(seed: 33)
    let layer = CacheLayer(heads: 2, keyDimension: 24, valueDimension: 40)
    let starts = [70, 63, 0, 5]
    let counts = [1, 3, 90, 6]
    let total = counts.reduce(0, +)
    let norms = (0..<2).map { _ in
      RowNorm(weight: random.values(24, .ordinary), epsilon: 1e-6)
    }
    let rope = HeadRope(
      table: RopeTable(
        inverseFrequencies: RopeTable.inverseFrequencies(base: 1e4, dimension: 16), positions: 200),
      isInterleaved: isInterleaved)
    let shape = AttentionShape(heads: 6, scale: 0.2, sinks: [0, 1, 2, -1, 0, 3])
    let history = (random.matrix(100, 48, .ordinary), random.matrix(100, 80, .ordinary))
    let rows = [6 * 24, 2 * 24, 2 * 40].map { random.matrix(total, $0, .ordinary) }
    let positions = zip(starts, counts).flatMap { start, count in
      (start..<start + count).map { Int32($0) }
    }

    func sequences(_ compute: Compute) throws -> [SequenceRows] {
      var row = 0
      return try zip(starts, counts).map { start, count in
        let cache = KeyValueCache(layers: [layer], element: element)
        try cache.prepare(0..<start + count)
        compute.store(
          keys: try Tensor(history.0), values: try Tensor(history.1), layer: 0,
          sequences: [SequenceRows(cache: cache, rows: 0..<start, startPosition: 0)])
        row += count
        return SequenceRows(cache: cache, rows: row - count..<row, startPosition: start)
      }
    }

    for variant in KernelSet.available {
      for threads in [1, 2] {
        let compute = try compute(variant, threads: threads)
        let (apart, together) = (try rows.map { try Tensor($0) }, try rows.map { try Tensor($0) })
        let outputs = try (0..<2).map { _ in try Tensor(rows: 0, columns: 6 * 40) }
        for (heads, norm) in zip(apart, norms) {
          compute.rmsNormHeads(heads, dimension: 24, weight: norm.weight, epsilon: norm.epsilon)
          compute.rope(
            heads, dimension: 24, positions: positions, table: rope.table,
            interleaved: isInterleaved)
        }
        let stepwise = try sequences(compute)
        compute.store(keys: apart[1], values: apart[2], layer: 0, sequences: stepwise)
        try compute.attention(
          queries: apart[0], layer: 0, shape: shape, sequences: stepwise, into: outputs[0])
        try compute.attend(
          AttentionRows(
            queries: together[0], keys: together[1], values: together[2], queryNorm: norms[0],
            keyNorm: norms[1], rope: rope),
          layer: 0, shape: shape, sequences: sequences(compute), into: outputs[1])
        #expect(sameBits(outputs[0].values, outputs[1].values), "\(variant), \(threads) threads")
      }
    }
  }

  private func weights(
    _ type: WeightType, _ inputs: Int, _ random: inout SeededRandom
  ) throws -> PackedWeights {
    try PackedWeights(
      type, outputs: 19, inputs: inputs,
      bytes: random.weightRows(type, outputs: 19, inputs: inputs, .ordinary))
  }
}
