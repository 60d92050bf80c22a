import Foundation
import Kernels
import TestSupport
import Testing

/// Gradients of attention.
extension GradientTests {
  /// Shapes of attention: grouped heads, dimensions that fill no panel, windows, caps, sequences
  /// shorter and longer than a block of queries.
  struct AttentionCase: CustomTestStringConvertible, Sendable {
    var heads = 4
    var keyValueHeads = 2
    var keyDimension = 16
    var valueDimension = 16
    var window: Int?
    var cap: Float?
    var lengths = [5, 1, 40]

    var testDescription: String {
      "\(heads)/\(keyValueHeads) heads of \(keyDimension), \(valueDimension), window "
        + "\(window ?? 0), cap \(cap ?? 0), \(lengths)"
    }

    static let all = [
      AttentionCase(),
      AttentionCase(heads: 3, keyValueHeads: 1, keyDimension: 24, valueDimension: 8),
      AttentionCase(window: 3), AttentionCase(cap: 1.5),
      AttentionCase(window: 7, cap: 2, lengths: [33]),
      AttentionCase(heads: 2, keyValueHeads: 2, lengths: [300, 3]),
      AttentionCase(heads: 2, keyValueHeads: 1, keyDimension: 20, window: 290, lengths: [600]),
      AttentionCase(heads: 2, keyValueHeads: 1, window: 10, lengths: [520]),
    ]

    var rows: Int { lengths.reduce(0, +) }

    var sequences: [Range<Int>] {
      var start = 0
      return lengths.map { length in
        defer { start += length }
        return start..<start + length
      }
    }

    var shape: AttentionShape {
      AttentionShape(heads: heads, scale: 0.3, window: window, cap: cap)
    }

    /// Queries, keys, values, and the gradient of the output.
    func inputs(_ random: inout SeededRandom) -> [[[Float]]] {
      [
        random.matrix(rows, heads * keyDimension, .ordinary),
        random.matrix(rows, keyValueHeads * keyDimension, .ordinary),
        random.matrix(rows, keyValueHeads * valueDimension, .ordinary),
        random.matrix(rows, heads * valueDimension, .ordinary),
      ]
    }

    func gradients(_ x: [[[Float]]], _ compute: Compute) throws -> [[[Float]]] {
      let outputs = try x[..<3].map { try Tensor(rows: 0, columns: $0[0].count) }
      try compute.attentionGradient(
        AttentionTensors(queries: Tensor(x[0]), keys: Tensor(x[1]), values: Tensor(x[2])),
        Tensor(x[3]), shape: shape, keyValueHeads: keyValueHeads, sequences: sequences,
        into: AttentionTensors(queries: outputs[0], keys: outputs[1], values: outputs[2]))
      return outputs.map(\.values)
    }

    /// The sum of what attention gives times `x[3]`, in double arithmetic.
    func value(_ x: [[[Double]]]) -> Double {
      var total = 0.0
      for rows in sequences {
        for row in rows {
          for head in 0..<heads {
            let own = head / (heads / keyValueHeads)
            let first = max(rows.lowerBound, row + 1 - (window ?? .max / 2))
            var scores = (first...row).map { key in
              let dot = (0..<keyDimension).reduce(0.0) {
                $0 + x[0][row][head * keyDimension + $1] * x[1][key][own * keyDimension + $1]
              }
              let scaled = dot * Double(shape.scale)
              return cap.map { Double($0) * tanh(scaled / Double($0)) } ?? scaled
            }
            let top = scores.max() ?? 0
            scores = scores.map { exp($0 - top) }
            let sum = scores.reduce(0, +)
            for (key, score) in zip(first...row, scores) {
              for d in 0..<valueDimension {
                total += score / sum * x[2][key][own * valueDimension + d]
                  * x[3][row][head * valueDimension + d]
              }
            }
          }
        }
      }
      return total
    }
  }

  @Test(arguments: AttentionCase.all) func attentionGivesTheReferenceBits(_ one: AttentionCase)
    throws
  {
    var random = SeededRandom(seed: 9)
    let inputs = one.inputs(&random)
    let truth = try one.gradients(inputs, reference())
    for variant in variants {
      for threads in [1, 3] {
        let values = try one.gradients(inputs, compute(variant, threads: threads))
        #expect(zip(values, truth).allSatisfy { sameBits($0, $1) }, "\(variant)")
      }
    }
    // What a sequence gets does not depend on what else is there.
    let last = one.sequences[one.sequences.count - 1]
    var alone = one
    alone.lengths = [last.count]
    let parts = try alone.gradients(inputs.map { Array($0[last]) }, reference())
    #expect(zip(parts, truth).allSatisfy { sameBits($0, Array($1[last])) })
  }

  @Test(arguments: AttentionCase.all) func attentionGradientsAreDerivatives(_ one: AttentionCase)
    throws
  {
    var random = SeededRandom(seed: 21)
    var small = one
    // Double arithmetic over long sequences takes its time: the bits above say the rest.
    small.lengths = one.lengths.map { min($0, 70) }
    let inputs = small.inputs(&random)
    let gradients = try small.gradients(inputs, reference())
    Self.expectDerivatives(gradients, inputs, count: 12, &random) { small.value($0) }
  }
}
