import Foundation
import Kernels
import TestSupport
import Testing

/// The convolution and the gated delta rule of linear attention.
@Suite struct LinearAttentionTests {
  /// Sizes with whole and partial vectors, one of 64 columns and one of a single one.
  static let shapes = [
    (1, 1, 1, 1, 1), (2, 4, 16, 16, 4), (1, 3, 12, 20, 3), (2, 2, 24, 72, 2), (1, 2, 128, 128, 4),
  ].map {
    LinearAttentionShape(
      keyHeads: $0.0, valueHeads: $0.1, keyDimension: $0.2, valueDimension: $0.3, taps: $0.4)
  } + [
    LinearAttentionShape(
      keyHeads: 2, valueHeads: 6, keyDimension: 16, valueDimension: 16, taps: 4,
      areValueHeadsTiled: true)
  ]

  struct Inputs {
    var x: [[Float]]
    var decays: [[Float]]
    var rates: [[Float]]
    var weights: [Float]

    init(_ shape: LinearAttentionShape, rows: Int, _ random: inout SeededRandom) {
      x = random.matrix(rows, shape.channels, .ordinary)
      decays = random.matrix(rows, shape.valueHeads, .ordinary)
      rates = random.matrix(rows, shape.valueHeads, .ordinary)
      weights = random.values(shape.taps * shape.channels, .ordinary)
    }

    func parameters(_ shape: LinearAttentionShape) -> DecayParameters {
      DecayParameters(
        rates: (0..<shape.valueHeads).map { -0.1 - Float($0) },
        biases: (0..<shape.valueHeads).map { Float($0) * 7 })
    }
  }

  /// Rows of one sequence after the other, `lengths` of each in a step.
  func run(
    _ inputs: Inputs, _ shape: LinearAttentionShape, steps: [[Range<Int>]], _ compute: Compute
  ) throws -> [[Float]] {
    let states = try steps[0].map { _ in try RecurrentState(shape) }
    let channels = try Tensor(rows: 0, columns: shape.channels)
    let columns = shape.valueHeads * shape.valueDimension
    let output = try Tensor(rows: 0, columns: columns)
    var results = [[Float]](repeating: [], count: inputs.x.count)
    for step in steps {
      let rows = step.flatMap { Array($0) }
      var first = 0
      let sequences = zip(states, step).map { state, range in
        defer { first += range.count }
        return RecurrentRows(state: state, rows: first..<first + range.count)
      }
      try compute.convolve(
        try Tensor(rows.map { inputs.x[$0] }), inputs.weights, shape, sequences, into: channels)
      compute.normaliseHeads(channels, shape, epsilon: 1e-6, queryScale: 0.25)
      let decays = try Tensor(rows.map { inputs.decays[$0] })
      let rates = try Tensor(rows.map { inputs.rates[$0] })
      compute.decays(decays, inputs.parameters(shape))
      compute.sigmoidRows(rates)
      try compute.deltaRule(
        channels, decays: decays, rates: rates, shape, sequences, into: output)
      for (index, row) in rows.enumerated() { results[row] = Array(output[index]) }
    }
    return results
  }

  @Test(arguments: shapes)
  func everyVariantAndEveryCutGivesTheReferenceBits(_ shape: LinearAttentionShape) throws {
    for seed in testSeeds(3) {
      var random = SeededRandom(seed: seed)
      let inputs = Inputs(shape, rows: 24, &random)
      let truth = try run(inputs, shape, steps: [[0..<14, 14..<24]], reference())
      let cut = [[0..<1, 14..<19], [1..<9, 19..<20], [9..<14, 20..<24]]
      for variant in variants {
        for threads in [1, 3] {
          let values = try run(
            inputs, shape, steps: cut, compute(variant, threads: threads))
          #expect(sameBits(truth, values), "\(variant), \(threads) threads, seed \(seed)")
        }
      }
    }
  }

  /// The recurrence in double arithmetic, written as in the paper: S = S (I - rate k k^T) decay +
  /// rate v k^T.
  @Test(arguments: shapes)
  func theRecurrenceIsThatOfThePaper(_ shape: LinearAttentionShape) throws {
    var random = SeededRandom(seed: 5)
    let inputs = Inputs(shape, rows: 12, &random)
    let values = try run(inputs, shape, steps: [[0..<12]], reference())
    let (keys, size) = (shape.keyHeads * shape.keyDimension, shape.keyDimension)
    let mixed = inputs.x.indices.map { row in
      (0..<shape.channels).map { channel in
        let sum = (0..<shape.taps).reduce(0.0) { sum, tap in
          let from = row + tap - shape.taps + 1
          let weight = Double(inputs.weights[tap * shape.channels + channel])
          return from < 0 ? sum : sum + weight * Double(inputs.x[from][channel])
        }
        return sum / (1 + exp(-sum))
      }
    }
    func head(_ row: Int, _ start: Int) -> [Double] {
      let values = Array(mixed[row][start..<start + size])
      let length = (values.reduce(0) { $0 + $1 * $1 } + 1e-6).squareRoot()
      return values.map { $0 / length }
    }
    let parameters = inputs.parameters(shape)
    for index in 0..<shape.valueHeads {
      let keyHead =
        shape.areValueHeadsTiled
        ? index % shape.keyHeads : index / (shape.valueHeads / shape.keyHeads)
      var state = [[Double]](
        repeating: [Double](repeating: 0, count: shape.valueDimension), count: size)
      for row in inputs.x.indices {
        let key = head(row, keys + keyHead * size)
        let query = head(row, keyHead * size).map { $0 * 0.25 }
        let start = 2 * keys + index * shape.valueDimension
        let soft = log1p(exp(Double(inputs.decays[row][index] + parameters.biases[index])))
        let decay = exp(Double(parameters.rates[index]) * soft)
        let rate = 1 / (1 + exp(-Double(inputs.rates[row][index])))
        for column in 0..<shape.valueDimension {
          let known = (0..<size).reduce(0.0) { $0 + decay * state[$1][column] * key[$1] }
          for at in 0..<size {
            state[at][column] =
              decay * state[at][column] + rate * key[at] * (mixed[row][start + column] - known)
          }
          let expected = (0..<size).reduce(0.0) { $0 + state[$1][column] * query[$1] }
          let value = Double(values[row][index * shape.valueDimension + column])
          #expect(abs(value - expected) < 2e-5, "head \(index), row \(row), column \(column)")
        }
      }
    }
  }
}
