import Kernels
import TestSupport
import Testing

@Suite struct RowOperationTests {
  static let lengths = [1, 2, 15, 16, 17, 31, 33, 64, 100, 257, 1000]

  @Test(arguments: Draw.allCases)
  func functionsGiveTheReferenceBits(draw: Draw) throws {
    let expected = try reference()
    for seed in testSeeds(20) {
      var random = SeededRandom(seed: seed)
      for length in Self.lengths {
        let scale: Float = draw == .ordinary ? 20 : 1
        let x = random.values(length, draw).map { $0 * scale }
        for variant in variants {
          let other = try compute(variant)
          let place = "\(variant) seed \(seed) length \(length)"
          #expect(sameBits(expected.exp(x), other.exp(x)), "exp \(place)")
          #expect(sameBits(expected.log(x), other.log(x)), "log \(place)")
          #expect(sameBits(expected.tanh(x), other.tanh(x)), "tanh \(place)")
          #expect(sameBits(expected.sigmoid(x), other.sigmoid(x)), "sigmoid \(place)")
          #expect(sameBits(expected.erf(x), other.erf(x)), "erf \(place)")
          #expect(sameBits(expected.softmax(x), other.softmax(x)), "softmax \(place)")
          let row = try Tensor([x])
          let (a, b) = (expected.logSoftmax(row[0]), other.logSoftmax(row[0]))
          if draw != .nonFinite {
            #expect(
              sameBits([a.maximum, a.sum, a.logSum], [b.maximum, b.sum, b.logSum]), "\(place)")
          } else {
            #expect(sameBits([a.logSum], [b.logSum]), "\(place)")
          }
        }
      }
    }
  }

  @Test func functionsGiveTheReferenceBitsOverAllExponents() throws {
    // Every 4093rd bit pattern: both signs, subnormals, infinities and NaNs among them.
    let x = stride(from: UInt64(0), to: 1 << 32, by: 40_993).map {
      Float(bitPattern: UInt32($0))
    }
    let expected = try reference()
    for variant in variants {
      let other = try compute(variant)
      #expect(sameBits(expected.exp(x), other.exp(x)), "exp \(variant)")
      #expect(sameBits(expected.log(x), other.log(x)), "log \(variant)")
      #expect(sameBits(expected.tanh(x), other.tanh(x)), "tanh \(variant)")
      #expect(sameBits(expected.sigmoid(x), other.sigmoid(x)), "sigmoid \(variant)")
      #expect(sameBits(expected.erf(x), other.erf(x)), "erf \(variant)")
    }
  }

  @Test(arguments: Draw.allCases)
  func rowsOfTensorsGiveTheReferenceBits(draw: Draw) throws {
    for seed in testSeeds(8) {
      var random = SeededRandom(seed: seed)
      for columns in Self.lengths {
        let (x, y) = (random.matrix(3, columns, draw), random.matrix(3, columns, draw))
        let weight = random.values(columns, .ordinary)
        func run(_ compute: Compute) throws -> [[[Float]]] {
          let (a, b) = (try Tensor(x), try Tensor(y))
          let results = try (0..<6).map { _ in try Tensor(rows: 0, columns: columns) }
          try compute.rmsNorm(a, weight: weight, epsilon: 1e-5, into: results[0])
          try compute.gate(.silu, a, b, into: results[1])
          try compute.gate(.geluTanh, a, b, into: results[2])
          try compute.gate(.gelu, a, b, into: results[3])
          try compute.gate(.sigmoid, a, b, into: results[4])
          try compute.weightedSums(
            of: a, [[(2, 0.3), (0, -7)], [], [(1, 1)]], into: results[5])
          let capped = try Tensor(x)
          compute.softCap(capped, at: 3)
          compute.scale(b, by: -1.7)
          compute.add(b, to: a)
          compute.add(bias: weight, to: b)
          return results.map(\.values) + [a.values, b.values, capped.values]
        }
        let truth = try run(reference())
        for variant in variants {
          let values = try run(compute(variant, threads: 2))
          for (index, pair) in zip(truth, values).enumerated() {
            #expect(
              sameBits(pair.0, pair.1), "\(variant) operation \(index) seed \(seed) \(columns)")
          }
        }
      }
    }
  }

  @Test(arguments: [true, false])
  func rotationGivesTheReferenceBits(interleaved: Bool) throws {
    var random = SeededRandom(seed: 5)
    for (dimension, rotated) in [(2, 2), (8, 4), (34, 34), (64, 64), (128, 64)] {
      let table = RopeTable(
        inverseFrequencies: RopeTable.inverseFrequencies(base: 10000, dimension: rotated),
        positions: 50)
      let x = random.matrix(4, 3 * dimension, .ordinary)
      func run(_ compute: Compute) throws -> [[Float]] {
        let tensor = try Tensor(x)
        compute.rope(
          tensor, dimension: dimension, positions: [0, 49, 7, 7], table: table,
          interleaved: interleaved)
        return tensor.values
      }
      let truth = try run(reference())
      #expect(sameBits(truth[0], x[0]), "position 0 rotates nothing")
      for variant in variants {
        #expect(sameBits(try run(compute(variant)), truth), "\(variant) \(dimension)")
      }
    }
  }
}
