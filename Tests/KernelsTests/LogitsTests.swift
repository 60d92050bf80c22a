import Kernels
import TestSupport
import Testing

@Suite struct LogitsTests {
  @Test func topIsTheOrderByLogitThenId() throws {
    for seed in testSeeds(50) {
      var random = SeededRandom(seed: seed)
      let count = Int.random(in: 1...300, using: &random)
      // Few distinct values, so that ties abound.
      let x = (0..<count).map { _ in Float(Int.random(in: -4...4, using: &random)) }
      let row = try Tensor([x])
      let order = x.indices.sorted { x[$0] > x[$1] || (x[$0] == x[$1] && $0 < $1) }
      for top in [0, 1, 2, 5, count - 1, count, count + 7] {
        #expect(Logits.top(top, of: row[0]) == Array(order.prefix(top)), "seed \(seed) top \(top)")
      }
      #expect(Logits.argMax(row[0]) == order[0])
    }
  }

  @Test func zerosOfBothSignsTie() throws {
    let row = try Tensor([[-1, -0.0, 0.0, -2]])
    #expect(Logits.argMax(row[0]) == 1)
    #expect(Logits.top(2, of: row[0]) == [1, 2])
  }

  @Test func nonFiniteValuesAreFound() throws {
    for bad in [Float.nan, .infinity, -.infinity, -.nan] {
      for place in [0, 5, 99] {
        let row = try Tensor(rows: 1, columns: 100)
        #expect(!Logits.hasNonFinite(row[0]))
        row[0][place] = .greatestFiniteMagnitude
        #expect(!Logits.hasNonFinite(row[0]))
        row[0][place] = bad
        #expect(Logits.hasNonFinite(row[0]))
      }
    }
  }

  @Test func logProbabilitiesSumToOne() throws {
    var random = SeededRandom(seed: 9)
    let row = try Tensor([random.values(5000, .ordinary)])
    for variant in KernelSet.available {
      let normaliser = try compute(variant).logSoftmax(row[0])
      let total = row[0].reduce(0.0) { $0 + exactExp(Double(normaliser.logProbability(of: $1))) }
      #expect(abs(total - 1) < 1e-5)
    }
  }
}
