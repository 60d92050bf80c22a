import Kernels
import TestSupport
import Testing

/// Sizes of one attention case.
struct AttentionCase: Sendable {
  var heads = 1
  var keyValueHeads = 1
  var keyDimension = 8
  var valueDimension = 8
  var positions = 10
  var window: Int?
  var element = CacheElement.f16
  var cap: Float?
  var hasSinks = false
}

@Suite struct AttentionTests {
  static let cases: [AttentionCase] = [
    AttentionCase(),
    AttentionCase(keyDimension: 1, valueDimension: 1, positions: 65),
    AttentionCase(heads: 9, keyValueHeads: 3, keyDimension: 64, valueDimension: 64, positions: 130),
    AttentionCase(
      heads: 4, keyValueHeads: 2, keyDimension: 24, valueDimension: 17, positions: 200,
      element: .f32),
    AttentionCase(heads: 8, keyDimension: 300, valueDimension: 80, positions: 70, element: .f32),
    AttentionCase(heads: 2, keyDimension: 16, valueDimension: 33, positions: 260, window: 70),
    AttentionCase(heads: 7, keyValueHeads: 7, positions: 64, window: 1, element: .f32),
    AttentionCase(heads: 30, keyDimension: 32, valueDimension: 128, positions: 129, window: 64),
    AttentionCase(heads: 4, keyDimension: 40, valueDimension: 40, positions: 150, cap: 2),
    AttentionCase(
      heads: 8, keyValueHeads: 2, keyDimension: 64, valueDimension: 64, positions: 140, window: 33,
      hasSinks: true),
    AttentionCase(
      heads: 6, keyValueHeads: 3, keyDimension: 192, valueDimension: 128, positions: 90, window: 80,
      element: .f32, cap: 0.5, hasSinks: true),
    AttentionCase(
      heads: 4, keyValueHeads: 2, keyDimension: 256, valueDimension: 256, positions: 67),
  ]

  /// A case with the sizes that models have, or odd ones.
  private func drawn(_ random: inout SeededRandom) -> AttentionCase {
    let dimensions = [16, 24, 40, 64, 80, 96, 112, 128, 192, 256]
    func dimension(_ random: inout SeededRandom) -> Int {
      random.chance(0.7)
        ? dimensions[Int.random(in: 0..<dimensions.count, using: &random)]
        : Int.random(in: 1...256, using: &random)
    }
    let (heads, group) = (
      Int.random(in: 1...3, using: &random), Int.random(in: 1...9, using: &random)
    )
    let positions = Int.random(in: 1...150, using: &random)
    return AttentionCase(
      heads: heads * group, keyValueHeads: heads, keyDimension: dimension(&random),
      valueDimension: dimension(&random), positions: positions,
      window: random.chance(0.4) ? Int.random(in: 1...positions, using: &random) : nil,
      element: random.chance(0.5) ? .f16 : .f32,
      cap: random.chance(0.3) ? Float.random(in: 0.5...50, using: &random) : nil,
      hasSinks: random.chance(0.3))
  }

  /// Sinks that matter beside scores of these cases.
  private func sinks(_ test: AttentionCase) -> [Float] {
    test.hasSinks ? (0..<test.heads).map { Float($0 % 5) - 2 } : []
  }

  /// Runs a prefill in the given chunks and returns every row's output.
  private func run(
    _ test: AttentionCase, _ compute: Compute, inputs: [[[Float]]], chunks: Int
  ) throws -> [[Float]] {
    let cache = KeyValueCache(
      layers: [
        CacheLayer(heads: 1, keyDimension: 3, valueDimension: 5),
        CacheLayer(
          heads: test.keyValueHeads, keyDimension: test.keyDimension,
          valueDimension: test.valueDimension),
      ], element: test.element)
    let shape = AttentionShape(
      heads: test.heads, scale: 0.25, window: test.window, cap: test.cap, sinks: sinks(test))
    let output = try Tensor(rows: 0, columns: test.heads * test.valueDimension)
    var result: [[Float]] = []
    for first in stride(from: 0, to: test.positions, by: chunks) {
      let rows = first..<min(test.positions, first + chunks)
      try cache.prepare(rows)
      let part = try inputs.map { try Tensor(Array($0[rows])) }
      let sequence = [SequenceRows(cache: cache, rows: 0..<rows.count, startPosition: first)]
      compute.store(keys: part[1], values: part[2], layer: 1, sequences: sequence)
      try compute.attention(
        queries: part[0], layer: 1, shape: shape, sequences: sequence, into: output)
      result += output.values
    }
    return result
  }

  private func inputs(_ test: AttentionCase, seed: UInt64, _ draw: Draw = .ordinary) -> [[[Float]]]
  {
    var random = SeededRandom(seed: seed)
    return [
      random.matrix(test.positions, test.heads * test.keyDimension, draw),
      random.matrix(test.positions, test.keyValueHeads * test.keyDimension, draw),
      random.matrix(test.positions, test.keyValueHeads * test.valueDimension, draw),
    ]
  }

  @Test(arguments: 0..<cases.count, Draw.allCases)
  func everyVariantGivesTheReferenceBits(index: Int, draw: Draw) throws {
    let test = Self.cases[index]
    for seed in testSeeds(2) {
      let inputs = inputs(test, seed: seed, draw)
      let truth = try run(test, try reference(), inputs: inputs, chunks: test.positions)
      for variant in variants {
        let values = try run(test, compute(variant), inputs: inputs, chunks: test.positions)
        #expect(sameBits(truth, values), "\(variant) seed \(seed)")
      }
    }
  }

  @Test func drawnShapesGiveTheReferenceBits() throws {
    for seed in testSeeds(40) {
      var random = SeededRandom(seed: seed)
      let test = drawn(&random)
      let inputs = inputs(test, seed: seed)
      let truth = try run(test, try reference(), inputs: inputs, chunks: test.positions)
      for variant in variants {
        let chunk = Int.random(in: 1...test.positions, using: &random)
        let values = try run(
          test, compute(variant, threads: Int.random(in: 1...4, using: &random)), inputs: inputs,
          chunks: max(chunk, test.positions / 8))
        #expect(sameBits(truth, values), "\(variant) seed \(seed) \(test)")
      }
    }
  }

  /// Also with infinities and NaNs: a bad position spoils itself and those that see it, in any
  /// chunking.
  @Test(arguments: 0..<cases.count, Draw.allCases)
  func chunksAndThreadsDoNotChangeBits(index: Int, draw: Draw) throws {
    let test = Self.cases[index]
    let inputs = inputs(test, seed: 3, draw)
    for variant in variants {
      let whole = try run(test, compute(variant), inputs: inputs, chunks: test.positions)
      for (chunk, threads) in [(1, 1), (7, 2), (64, 5)] {
        let values = try run(
          test, compute(variant, threads: threads), inputs: inputs, chunks: chunk)
        #expect(sameBits(whole, values), "\(variant), chunks of \(chunk), \(threads) threads")
      }
    }
  }

  @Test(arguments: 0..<cases.count)
  func outputsAreCloseToDoubleArithmetic(index: Int) throws {
    var test = Self.cases[index]
    test.element = .f32
    let inputs = inputs(test, seed: 4)
    let group = test.heads / test.keyValueHeads
    let best = try #require(variants.last)
    let values = try run(test, compute(best), inputs: inputs, chunks: test.positions)
    for position in 0..<test.positions {
      for head in 0..<test.heads {
        let low = test.window.map { max(0, position + 1 - $0) } ?? 0
        let (q, kv) = (head * test.keyDimension, head / group)
        let weights = (low...position).map { key -> Double in
          var dot = 0.0
          for d in 0..<test.keyDimension {
            dot +=
              Double(inputs[0][position][q + d])
              * Double(inputs[1][key][kv * test.keyDimension + d])
          }
          let score = dot * 0.25
          return test.cap.map { Double($0) * exactTanh(score / Double($0)) } ?? score
        }
        let sink = test.hasSinks ? [Double(sinks(test)[head])] : []
        let top = (weights + sink).max() ?? 0
        let exponentials = weights.map { exactExp($0 - top) }
        let sum = (exponentials + sink.map { exactExp($0 - top) }).reduce(0, +)
        for d in 0..<test.valueDimension {
          var truth = 0.0
          for (offset, weight) in exponentials.enumerated() {
            truth +=
              weight / sum
              * Double(inputs[2][low + offset][kv * test.valueDimension + d])
          }
          let value = Double(values[position][head * test.valueDimension + d])
          #expect(abs(value - truth) < 1e-4)
        }
      }
    }
  }

  @Test func sequencesOfOneStepDoNotMeet() throws {
    let test = AttentionCase(heads: 4, keyValueHeads: 2, keyDimension: 16, valueDimension: 16)
    let best = try compute(try #require(variants.last), threads: 2)
    let layer = CacheLayer(heads: 2, keyDimension: 16, valueDimension: 16)
    let all = (0..<5).map { inputs(test, seed: UInt64($0)) }
    let apart = try all.map { try run(test, best, inputs: $0, chunks: 10) }
    // Five sequences side by side, of 10, 9, ... positions.
    var (rows, sequences): ([[[Float]]], [SequenceRows]) = ([[], [], []], [])
    for (index, one) in all.enumerated() {
      let cache = KeyValueCache(layers: [layer, layer], element: .f16)
      try cache.prepare(0..<10 - index)
      let first = rows[0].count
      for part in 0..<3 { rows[part] += one[part][0..<10 - index] }
      sequences.append(
        SequenceRows(cache: cache, rows: first..<rows[0].count, startPosition: 0))
    }
    let tensors = try rows.map { try Tensor($0) }
    let output = try Tensor(rows: 0, columns: 64)
    best.store(keys: tensors[1], values: tensors[2], layer: 1, sequences: sequences)
    try best.attention(
      queries: tensors[0], layer: 1, shape: AttentionShape(heads: 4, scale: 0.25),
      sequences: sequences, into: output)
    for (index, sequence) in sequences.enumerated() {
      #expect(sameBits(Array(output.values[sequence.rows]), Array(apart[index][0..<10 - index])))
    }
  }

  @Test func aForkSharesUntilItWrites() throws {
    let layer = CacheLayer(heads: 1, keyDimension: 4, valueDimension: 4)
    let best = try compute(try #require(variants.last))
    let cache = KeyValueCache(layers: [layer], element: .f32)
    func step(_ cache: KeyValueCache, _ position: Int, _ value: Float) throws -> [Float] {
      try cache.prepare(position..<position + 1)
      let x = try Tensor([[value, 1, 2, 3]])
      let output = try Tensor(rows: 1, columns: 4)
      let sequence = [SequenceRows(cache: cache, rows: 0..<1, startPosition: position)]
      best.store(keys: x, values: x, layer: 0, sequences: sequence)
      try best.attention(
        queries: x, layer: 0, shape: AttentionShape(heads: 1, scale: 1), sequences: sequence,
        into: output)
      return output.values[0]
    }
    for position in 0..<70 { _ = try step(cache, position, Float(position % 3)) }
    let fork = cache.fork()
    let forked = try step(fork, 70, 9)
    #expect(try step(cache, 70, 5) != forked)
    let again = cache.fork()
    #expect(try step(again, 70, 9) == forked)
    again.truncate(to: 64)
    #expect(again.capacity == 64)
  }
}
