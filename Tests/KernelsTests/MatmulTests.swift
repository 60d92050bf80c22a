import Kernels
import TestSupport
import Testing

struct Shape: Sendable, CustomStringConvertible {
  let rows: Int
  let inputs: Int
  let outputs: Int
  var description: String { "M=\(rows) K=\(inputs) N=\(outputs)" }
}

@Suite struct MatmulTests {
  /// Odd sizes, one of each, chains that end within 256 and 32, and every height of a row tile.
  static let shapes: [Shape] =
    [(1, 1, 1), (1, 257, 17), (3, 31, 16), (2, 512, 5), (5, 300, 33), (7, 64, 1), (1, 2048, 40)]
    .map { Shape(rows: $0.0, inputs: $0.1, outputs: $0.2) }
    + (1...20).map { Shape(rows: $0, inputs: 288, outputs: 19) }

  private func shape(_ shape: Shape, for type: WeightType) -> Shape {
    Shape(rows: shape.rows, inputs: type.whole(shape.inputs), outputs: shape.outputs)
  }

  @Test(arguments: WeightType.allCases, Draw.allCases)
  func everyVariantGivesTheReferenceBits(type: WeightType, draw: Draw) throws {
    let expected = try reference()
    let others = try variants.map { try compute($0) }
    for (index, seed) in testSeeds(Self.shapes.count).enumerated() {
      let shape = shape(Self.shapes[index], for: type)
      var random = SeededRandom(seed: seed)
      let x = try Tensor(random.matrix(shape.rows, shape.inputs, draw))
      let weights = try PackedWeights(
        type, outputs: shape.outputs, inputs: shape.inputs,
        bytes: random.weightRows(type, outputs: shape.outputs, inputs: shape.inputs, draw))
      let y = try Tensor(rows: 0, columns: shape.outputs)
      try expected.matmul(x, weights, into: y)
      let truth = y.values
      for other in others {
        try other.matmul(x, weights, into: y)
        #expect(sameBits(truth, y.values), "\(other.kernels.variant) \(shape) seed \(seed)")
      }
    }
  }

  @Test(arguments: WeightType.allCases)
  func aRowDoesNotDependOnItsCompanions(type: WeightType) throws {
    var random = SeededRandom(seed: 11)
    let (inputs, outputs, rows) = (type.whole(320), 50, 33)
    let weights = try PackedWeights(
      type, outputs: outputs, inputs: inputs,
      bytes: random.weightRows(type, outputs: outputs, inputs: inputs, .ordinary))
    let all = random.matrix(rows, inputs, .ordinary)
    for variant in variants {
      let compute = try compute(variant)
      let y = try Tensor(rows: 0, columns: outputs)
      try compute.matmul(try Tensor(all), weights, into: y)
      let together = y.values
      for chunk in [1, 7, 16] {
        var apart: [[Float]] = []
        for first in stride(from: 0, to: rows, by: chunk) {
          let part = try Tensor(Array(all[first..<min(rows, first + chunk)]))
          try compute.matmul(part, weights, into: y)
          apart += y.values
        }
        #expect(sameBits(together, apart), "\(variant), chunks of \(chunk)")
      }
    }
  }

  @Test(arguments: WeightType.allCases)
  func threadsDoNotChangeBits(type: WeightType) throws {
    var random = SeededRandom(seed: 12)
    let inputs = 256
    let outputs = [96, 40, 7]
    let x = try Tensor(random.matrix(100, inputs, .ordinary))
    let weights = try outputs.map {
      try PackedWeights(
        type, outputs: $0, inputs: inputs,
        bytes: random.weightRows(type, outputs: $0, inputs: inputs, .ordinary))
    }
    var truth: [[[Float]]]?
    for variant in variants {
      for threads in [1, 2, 5] {
        let compute = try compute(variant, threads: threads)
        let results = try outputs.map { try Tensor(rows: 0, columns: $0) }
        try compute.matmul(x, weights, into: results)
        let values = results.map(\.values)
        if let truth {
          #expect(
            zip(truth, values).allSatisfy { sameBits($0, $1) }, "\(variant) \(threads) threads")
        } else {
          truth = values
        }
      }
    }
  }

  /// A norm in the same go gives the bits of a norm before.
  @Test(arguments: WeightType.allCases)
  func aNormOnTheWayDoesNotChangeBits(type: WeightType) throws {
    var random = SeededRandom(seed: 14)
    let (rows, inputs, outputs) = (70, type.whole(512), 19)
    let x = try Tensor(random.matrix(rows, inputs, .extreme))
    let norm = RowNorm(weight: random.values(inputs, .ordinary), epsilon: 1e-5)
    let weights = try PackedWeights(
      type, outputs: outputs, inputs: inputs,
      bytes: random.weightRows(type, outputs: outputs, inputs: inputs, .ordinary))
    let normed = try Tensor(rows: 0, columns: inputs)
    let (before, together) = (
      try Tensor(rows: 0, columns: outputs), try Tensor(rows: 0, columns: outputs)
    )
    for variant in KernelSet.available {
      let compute = try compute(variant, threads: 2)
      try compute.rmsNorm(x, weight: norm.weight, epsilon: norm.epsilon, into: normed)
      try compute.matmul(normed, [weights], into: [before])
      try compute.matmul(x, prepared: .norm(norm), [weights], into: [together])
      #expect(sameBits(before.values, together.values), "\(variant)")
    }
  }

  /// Float formats differ from double arithmetic by rounding alone; quantised ones by the rounding
  /// of activations too, of which half a step each is the bound.
  @Test(arguments: WeightType.allCases)
  func productsAreCloseToDoubleArithmetic(type: WeightType) throws {
    var random = SeededRandom(seed: 13)
    let (rows, inputs, outputs) = (6, type.whole(544), 21)
    let x = random.matrix(rows, inputs, .ordinary)
    let weights = try PackedWeights(
      type, outputs: outputs, inputs: inputs,
      bytes: random.weightRows(type, outputs: outputs, inputs: inputs, .ordinary))
    let dense = weights.rows
    for variant in variants {
      let y = try Tensor(rows: 0, columns: outputs)
      try compute(variant).matmul(try Tensor(x), weights, into: y)
      for row in 0..<rows {
        for output in 0..<outputs {
          var (truth, bound) = (0.0, 0.0)
          for block in stride(from: 0, to: inputs, by: 32) {
            let top = x[row][block..<block + 32].map(abs).max() ?? 0
            for k in block..<block + 32 {
              truth += Double(x[row][k]) * Double(dense[output][k])
              bound += abs(Double(dense[output][k])) * Double(top / 127 / 2)
            }
          }
          if !type.isQuantised { bound /= 1000 }
          #expect(abs(Double(y[row][output]) - truth) <= bound * 1.001 + 1e-4, "\(variant)")
        }
      }
    }
  }

  @Test func underflowsGiveNoNegativeZero() throws {
    // Every product underflows to -0: the sum is +0, in a batch as alone.
    let x = [Float](repeating: 1e-30, count: 64)
    let bytes = [Float](repeating: -1e-30, count: 64).withUnsafeBytes { Array($0) }
    let weights = try PackedWeights(.f32, outputs: 1, inputs: 64, bytes: bytes)
    for variant in KernelSet.available {
      let y = try Tensor(rows: 0, columns: 1)
      try compute(variant).matmul(try Tensor([x, x]), weights, into: y)
      #expect(y.values.allSatisfy { $0[0].bitPattern == 0 }, "\(variant)")
    }
  }

  /// Parts of rows with parts of matrices in one job give what each gives alone.
  @Test(arguments: WeightType.allCases)
  func partsOfOneJobGiveWhatEachGivesAlone(type: WeightType) throws {
    var random = SeededRandom(seed: 12)
    let (inputs, outputs, rows) = (type.whole(64), 48, 13)
    let weights = try PackedWeights(
      type, outputs: outputs, inputs: inputs,
      bytes: random.weightRows(type, outputs: outputs, inputs: inputs, .ordinary))
    let x = random.matrix(rows, 3 * inputs, .ordinary)
    // Rows, the first of their columns, and panels.
    let parts = [(0..<1, 0, 0..<1), (1..<9, 0, 1..<3), (9..<13, 1, 0..<3), (3..<4, 2, 2..<3)]
    for variant in variants {
      for threads in [1, 3] {
        let compute = try compute(variant, threads: threads)
        let outputsOfParts = try parts.map { _ in try Tensor(rows: 0, columns: outputs + 16) }
        try compute.matmul(
          try Tensor(x),
          zip(parts, outputsOfParts).map { part, output in
            MatmulPart(
              weights, panels: part.2, rows: part.0, inputColumn: part.1 * inputs, into: output,
              outputColumn: 16)
          })
        for (part, output) in zip(parts, outputsOfParts) {
          let columns = part.1 * inputs..<(part.1 + 1) * inputs
          let alone = try Tensor(rows: 0, columns: outputs)
          try compute.matmul(try Tensor(x[part.0].map { Array($0[columns]) }), weights, into: alone)
          let wanted = alone.values.map {
            Array($0[part.2.lowerBound * 16..<part.2.upperBound * 16])
          }
          let found = part.0.map { Array(output[$0][16..<16 + part.2.count * 16]) }
          #expect(sameBits(wanted, found), "\(variant), \(threads) threads, rows \(part.0)")
        }
      }
    }
  }
}
