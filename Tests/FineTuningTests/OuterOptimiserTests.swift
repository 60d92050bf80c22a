import FineTuning
import Models
import Testing

@Suite struct OuterOptimiserTests {
  static let site = LinearSite(layer: 0, kind: .query)

  static func pair(_ a: [Float], _ b: [Float]) -> Adapter.Pair {
    Adapter.Pair(rank: 1, inputs: a.count, outputs: b.count, a: a, b: b)
  }

  static func change(_ a: [Float], _ b: [Float], _ weight: Int) -> OuterOptimiser.Change {
    .init(pairs: [site: pair(a, b)], weight: weight)
  }

  static let adapter = Adapter(alpha: 1, pairs: [site: pair([1, 2], [3])])

  @Test func aStepIsTheWeightedMean() {
    var optimiser = OuterOptimiser(Self.adapter)
    let plain = OuterOptimiser.Settings(learningRate: 1, momentum: 0)
    optimiser.step([Self.change([1, 0], [4], 3), Self.change([0, 2], [0], 1)], plain)
    #expect(optimiser.adapter.pairs[Self.site] == Self.pair([1.75, 2.5], [6]))
  }

  /// PyTorch's SGD with nesterov=True: v = m v + g, p -= r (g + m v), g being minus the change.
  @Test func momentumIsNesterovs() {
    var optimiser = OuterOptimiser(Self.adapter)
    let settings = OuterOptimiser.Settings(learningRate: 0.5, momentum: 0.5)
    optimiser.step([Self.change([1, 0], [0], 1)], settings)
    #expect(optimiser.adapter.pairs[Self.site]?.a == [1 + 0.5 * (1 + 0.5 * 1), 2])
    optimiser.step([Self.change([1, 0], [0], 1)], settings)
    // v = 0.5 * 1 + 1
    #expect(optimiser.adapter.pairs[Self.site]?.a == [1.75 + 0.5 * (1 + 0.5 * 1.5), 2])
    var resumed = OuterOptimiser(Self.adapter)
    resumed.step([Self.change([1, 0], [0], 1)], settings)
    resumed = OuterOptimiser(resumed.adapter, velocity: resumed.velocity)
    resumed.step([Self.change([1, 0], [0], 1)], settings)
    #expect(resumed == optimiser)
  }

  @Test func largeChangesAreClippedAndEmptyOnesDoNotCount() {
    var optimiser = OuterOptimiser(Self.adapter)
    let settings = OuterOptimiser.Settings(learningRate: 1, momentum: 0, maximumNorm: 5)
    optimiser.step([Self.change([6, 8], [0], 1), Self.change([9, 9], [9], 0)], settings)
    #expect(optimiser.adapter.pairs[Self.site] == Self.pair([4, 6], [3]))
    let before = optimiser
    optimiser.step([], settings)
    optimiser.step([Self.change([1, 1], [1], 0)], settings)
    #expect(optimiser == before)
  }
}
