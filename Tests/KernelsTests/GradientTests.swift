import Foundation
import Kernels
import TestSupport
import Testing

/// Gradients have the reference's bits in every variant, and are derivatives.
@Suite struct GradientTests {
  static let activations = GatedActivation.allCases

  // MARK: Bits

  @Test(arguments: Draw.allCases) func rowGradientsGiveTheReferenceBits(_ draw: Draw) throws {
    for seed in testSeeds(4) {
      var random = SeededRandom(seed: seed)
      for columns in RowOperationTests.lengths {
        let (x, y, dy) = (
          random.matrix(3, columns, draw), random.matrix(3, columns, draw),
          random.matrix(3, columns, draw)
        )
        let norm = RowNorm(weight: random.values(columns, .ordinary), epsilon: 1e-5)
        func run(_ compute: Compute) throws -> [[Float]] {
          let (a, b, d) = (try Tensor(x), try Tensor(y), try Tensor(dy))
          let (first, second) = (
            try Tensor(rows: 0, columns: columns), try Tensor(rows: 0, columns: columns)
          )
          try compute.rmsNormGradient(a, norm, d, into: first)
          var all = first.values
          for activation in Self.activations {
            try compute.gateGradient(activation, a, b, d, into: first, second)
            all += first.values + second.values
          }
          compute.softCapGradient(a, at: 2.5, d)
          all += d.values
          let moments = [try Tensor(y), try Tensor(x.map { $0.map { $0 * $0 } })]
          compute.step(
            a, gradient: d, first: moments[0], second: moments[1],
            AdamWStep(
              clip: 0.7, learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
              weightDecay: 0.1, number: 3))
          return all + a.values + moments.flatMap(\.values)
        }
        let truth = try run(reference())
        for variant in variants {
          #expect(
            sameBits(try run(compute(variant, threads: 2)), truth),
            "\(variant) seed \(seed) columns \(columns)")
        }
      }
    }
  }

  @Test(arguments: [Draw.ordinary, .extreme]) func sumsGiveTheReferenceBits(_ draw: Draw) throws {
    for seed in testSeeds(3) {
      var random = SeededRandom(seed: seed)
      for (rows, columns, tokens) in [
        (1, 1, 1), (8, 100, 300), (13, 33, 257), (30, 64, 512), (3, 15, 0),
      ] {
        let (v, x, y) = (
          random.matrix(tokens + 2, rows, draw), random.matrix(tokens + 2, columns, draw),
          random.matrix(rows, columns, draw)
        )
        func run(_ compute: Compute) throws -> [[Float]] {
          let sum = try Tensor(y)
          compute.addOuterProducts(
            try Tensor(v), try Tensor(x.map { [0] + $0 }), column: 1,
            sequences: [1..<1 + tokens, 0..<2], to: sum)
          return sum.values
        }
        let truth = try run(reference())
        for variant in variants {
          #expect(sameBits(try run(compute(variant, threads: 3)), truth), "\(variant) \(rows)")
        }
      }
    }
  }

  @Test func lossesGiveTheReferenceBits() throws {
    var random = SeededRandom(seed: 5)
    let logits = random.matrix(5, 333, .ordinary).map { $0.map { $0 * 4 } }
    func run(_ compute: Compute) throws -> [[Float]] {
      let rows = try Tensor(logits)
      let losses = compute.crossEntropy(rows, labels: [0, 332, 7, 100, 16], factor: 0.2)
      return rows.values + [losses]
    }
    let truth = try run(reference())
    for variant in variants { #expect(sameBits(try run(compute(variant, threads: 2)), truth)) }
  }

  // MARK: Finite differences

  /// The derivative of `f` by one of `x`'s numbers.
  static func derivative(_ x: [[[Double]]], _ place: (Int, Int, Int), _ f: ([[[Double]]]) -> Double)
    -> Double
  {
    let step = 1e-5
    var (high, low) = (x, x)
    high[place.0][place.1][place.2] += step
    low[place.0][place.1][place.2] -= step
    return (f(high) - f(low)) / (2 * step)
  }

  static func doubles(_ x: [[[Float]]]) -> [[[Double]]] {
    x.map { $0.map { $0.map { Double($0) } } }
  }

  /// Compares `count` numbers of each gradient, drawn by `random`.
  static func expectDerivatives(
    _ gradients: [[[Float]]], _ x: [[[Float]]], count: Int, _ random: inout SeededRandom,
    _ f: ([[[Double]]]) -> Double
  ) {
    let doubles = doubles(x)
    for (index, gradient) in gradients.enumerated() {
      for _ in 0..<count {
        let row = Int.random(in: 0..<gradient.count, using: &random)
        let column = Int.random(in: 0..<gradient[row].count, using: &random)
        let expected = derivative(doubles, (index, row, column), f)
        let value = Double(gradient[row][column])
        #expect(
          abs(value - expected) <= 2e-5 * max(1, abs(expected)),
          "input \(index) [\(row), \(column)]: \(value), not \(expected), seed \(random.seed)")
      }
    }
  }

  @Test func rowGradientsAreDerivatives() throws {
    var random = SeededRandom(seed: 4)
    let x = [
      random.matrix(3, 20, .ordinary), random.matrix(3, 20, .ordinary),
      random.matrix(3, 20, .ordinary),
    ]
    let compute = try reference()
    let tensors = try x.map { try Tensor($0) }
    let (first, second) = (try Tensor(rows: 0, columns: 20), try Tensor(rows: 0, columns: 20))
    func sum(_ x: [[[Double]]], _ f: (Double, Double) -> Double) -> Double {
      var total = 0.0
      for row in 0..<3 {
        for column in 0..<20 {
          total += f(x[0][row][column], x[1][row][column]) * x[2][row][column]
        }
      }
      return total
    }
    let functions: [(GatedActivation, (Double) -> Double)] = [
      (.silu, { $0 / (1 + exp(-$0)) }),
      (
        .geluTanh,
        { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
      ),
      (.gelu, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }), (.sigmoid, { 1 / (1 + exp(-$0)) }),
    ]
    #expect(functions.count == GatedActivation.allCases.count)
    for (activation, function) in functions {
      try compute.gateGradient(activation, tensors[0], tensors[1], tensors[2], into: first, second)
      Self.expectDerivatives([first.values, second.values], x, count: 30, &random) {
        sum($0) { function($0) * $1 }
      }
    }
    for size in [20, 5] {
      let norm = RowNorm(weight: random.values(size, .ordinary), epsilon: 0.02)
      try compute.rmsNormHeadsGradient(tensors[0], norm, tensors[2], into: first)
      Self.expectDerivatives([first.values], x, count: 30, &random) { x in
        var total = 0.0
        for row in 0..<3 {
          for head in Swift.stride(from: 0, to: 20, by: size) {
            let values = x[0][row][head..<head + size]
            let mean = values.reduce(0) { $0 + $1 * $1 } / Double(size)
            for (index, value) in values.enumerated() {
              total += value / (mean + 0.02).squareRoot() * Double(norm.weight[index])
                * x[2][row][head + index]
            }
          }
        }
        return total
      }
    }
    let capped = try Tensor(x[0])
    compute.softCap(capped, at: 1.25)
    compute.softCapGradient(capped, at: 1.25, tensors[2])
    Self.expectDerivatives([tensors[2].values], x, count: 30, &random) {
      sum($0) { value, _ in 1.25 * tanh(value / 1.25) }
    }
  }

  @Test func lossGradientsAreDerivatives() throws {
    var random = SeededRandom(seed: 8)
    let x = [random.matrix(4, 40, .ordinary)]
    let labels: [Int32] = [3, 39, 0, 17]
    let rows = try Tensor(x[0])
    func losses(_ x: [[[Double]]]) -> [Double] {
      zip(x[0], labels).map { row, label in log(row.reduce(0) { $0 + exp($1) }) - row[Int(label)] }
    }
    let values = try reference().crossEntropy(rows, labels: labels, factor: 0.25)
    for (value, expected) in zip(values, losses(Self.doubles(x))) {
      #expect(abs(Double(value) - expected) < 1e-5)
    }
    Self.expectDerivatives([rows.values], x, count: 60, &random) {
      losses($0).reduce(0, +) / 4
    }
  }

  @Test func rotationsAreUndone() throws {
    var random = SeededRandom(seed: 3)
    let x = random.matrix(4, 24, .ordinary)
    let table = RopeTable(
      inverseFrequencies: RopeTable.inverseFrequencies(base: 100, dimension: 12), positions: 9)
    for interleaved in [false, true] {
      let rows = try Tensor(x)
      let positions: [Int32] = [0, 3, 8, 5]
      let compute = try reference()
      compute.rope(
        rows, dimension: 12, positions: positions, table: table, interleaved: interleaved)
      compute.rope(
        rows, dimension: 12, positions: positions, table: table.inverted, interleaved: interleaved)
      for (row, original) in zip(rows.values, x) {
        for (a, b) in zip(row, original) { #expect(abs(a - b) < 1e-6) }
      }
    }
  }

  @Test func panelsMultiplyWhatTheyWereFilledWith() throws {
    var random = SeededRandom(seed: 6)
    let compute = try compute(.scalar, threads: 2)
    let panels = FloatPanels()
    for (rows, columns) in [(20, 37), (3, 16), (50, 1)] {
      let (w, x) = (random.matrix(rows, columns, .ordinary), random.matrix(4, 60, .ordinary))
      let matrix = try Tensor(w)
      func product(_ weights: PackedWeights) throws -> [[Float]] {
        let input = try Tensor(x.map { Array($0.prefix(weights.inputs)) })
        let output = try Tensor(rows: 0, columns: weights.outputs)
        try compute.matmul(input, weights, into: output)
        return output.values
      }
      let byRows = try product(
        panels.rows(of: matrix, rows: 1..<rows, columns: 0..<columns, compute))
      let byColumns = try product(
        panels.columns(of: matrix, rows: 0..<rows, columns: 0..<columns, compute))
      for (index, input) in x.enumerated() {
        for row in 1..<rows {
          let expected = zip(input, w[row]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
          #expect(abs(Double(byRows[index][row - 1]) - expected) < 1e-4)
        }
        for column in 0..<columns {
          let expected = zip(input, w).reduce(0.0) { $0 + Double($1.0) * Double($1.1[column]) }
          #expect(abs(Double(byColumns[index][column]) - expected) < 1e-4)
        }
      }
    }
  }

  /// Against torch.optim.AdamW's formula in double arithmetic.
  @Test func stepsAreThoseOfAdamW() throws {
    var random = SeededRandom(seed: 2)
    let start = random.matrix(2, 21, .ordinary)
    let parameters = try Tensor(start)
    let zeros = start.map { $0.map { _ in Float(0) } }
    let (first, second) = (try Tensor(zeros), try Tensor(zeros))
    var (p, m, v) = (
      start.map { $0.map { Double($0) } }, zeros.map { $0.map { Double($0) } },
      zeros.map { $0.map { Double($0) } }
    )
    let compute = try reference()
    for number in 1...5 {
      let g = random.matrix(2, 21, .ordinary)
      compute.step(
        parameters, gradient: try Tensor(g), first: first, second: second,
        AdamWStep(
          clip: 0.5, learningRate: 0.02, beta1: 0.8, beta2: 0.95, epsilon: 1e-6,
          weightDecay: 0.3, number: number))
      for row in 0..<2 {
        for column in 0..<21 {
          let gradient = Double(g[row][column]) * 0.5
          m[row][column] = 0.8 * m[row][column] + 0.2 * gradient
          v[row][column] = 0.95 * v[row][column] + 0.05 * gradient * gradient
          let (a, b) = (1 - pow(0.8, Double(number)), 1 - pow(0.95, Double(number)))
          p[row][column] *= 1 - 0.02 * 0.3
          p[row][column] -= 0.02 / a * m[row][column] / ((v[row][column] / b).squareRoot() + 1e-6)
          #expect(abs(Double(parameters[row][column]) - p[row][column]) < 1e-5)
        }
      }
    }
  }
}
