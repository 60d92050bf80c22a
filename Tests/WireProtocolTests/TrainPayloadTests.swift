import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

@Suite struct TrainPayloadTests {
  static let adapter = AdapterPayload(
    alpha: 12, isRankStabilised: true,
    pairs: [
      .init(layer: 0, kind: "q_proj"): .init(
        rank: 2, inputs: 3, outputs: 4, a: [1, 2, 3, 4, 5, 6], b: [1, 2, 3, 4, 5, 6, 7, 8]),
      .init(layer: 11, kind: "down_proj"): .init(
        rank: 1, inputs: 2, outputs: 1, a: [0.5, -0.25], b: [3]),
    ])

  static let examples = LabelledSequences(sequences: [
    .init(tokens: [1, 2, 3], labels: [-100, 2, -100]), .init(tokens: [9], labels: [9]),
    .init(tokens: [4, 5], labels: [4, 5]),
  ])

  static let inputs = TrainInputs(
    examples: examples, steps: [0..<2, 2..<3], learningRates: [0.1, 0.05], beta1: 0.9, beta2: 0.999,
    epsilon: 1e-8, weightDecay: 0.01, maximumNorm: 1)

  static let result = TrainResult(
    changes: adapter.pairs.mapValues { pair in
      var pair = pair
      pair.a = pair.a.map { BFloat16Coding.rounded($0 / 3) }
      pair.b = pair.b.map { BFloat16Coding.rounded(-$0 / 7) }
      return pair
    }, losses: [2.5, 2], norms: [0.1, 0])

  @Test func everythingComesBackAsWritten() throws {
    #expect(try AdapterPayload(decoding: Self.adapter.encoded()) == Self.adapter)
    #expect(try LabelledSequences(decoding: Self.examples.encoded()) == Self.examples)
    #expect(try TrainInputs(decoding: Self.inputs.encoded()) == Self.inputs)
    var unclipped = Self.inputs
    unclipped.maximumNorm = nil
    #expect(try TrainInputs(decoding: unclipped.encoded()) == unclipped)
    let bytes = try Self.result.encoded()
    #expect(try TrainResult(decoding: bytes, for: Self.inputs, from: Self.adapter) == Self.result)
    #expect(try Self.result.encoded() == bytes)
    let validated = ValidateResult(lossSums: [1.5, 0, 2], labels: [1, 0, 1])
    #expect(try ValidateResult(decoding: validated.encoded(), for: Self.examples) == validated)
    #expect(validated.meanLoss == 1.75)
  }

  @Test func changesAreRoundedToTheNearest() {
    // Halfway goes to the even neighbour, what is beyond to the nearer one.
    let cases: [(value: Float, expected: Float)] = [
      (1, 1), (0x1.01p+0, 1), (0x1.03p+0, 0x1.04p+0), (0x1.0101p+0, 0x1.02p+0),
      (-3.14159, -3.140625), (0, 0), (.greatestFiniteMagnitude, .infinity),
    ]
    for one in cases { #expect(BFloat16Coding.rounded(one.value) == one.expected, "\(one.value)") }
    #expect(BFloat16Coding.rounded(-0.0).sign == .minus)
    #expect(BFloat16Coding.rounded(.nan).isNaN)
  }

  @Test(arguments: [
    { $0.steps = [0..<2] }, { $0.steps = [0..<3, 3..<3] }, { $0.learningRates = [0.1] },
    { $0.learningRates = [0.1, 0] }, { $0.learningRates = [0.1, .nan] }, { $0.beta1 = 1 },
    { $0.beta2 = -0.1 }, { $0.epsilon = 0 }, { $0.weightDecay = -1 }, { $0.maximumNorm = -1 },
    { $0.maximumNorm = .infinity }, { $0.steps = [] },
    { $0.examples.sequences[1] = .init(tokens: [], labels: []) },
    { $0.examples.sequences[1] = .init(tokens: [1], labels: []) },
  ] as [@Sendable (inout TrainInputs) -> Void])
  func inputsThatCannotBeLearntAreRefused(_ change: @Sendable (inout TrainInputs) -> Void) {
    var inputs = Self.inputs
    change(&inputs)
    #expect(throws: PayloadError.self) { try inputs.encoded() }
  }

  @Test func resultsOfOtherUnitsAreRefused() throws {
    func refuse(_ result: TrainResult, _ inputs: TrainInputs, _ adapter: AdapterPayload) {
      #expect { try TrainResult(decoding: result.encoded(), for: inputs, from: adapter) } throws: {
        $0 is PayloadError || $0 is FormatError
      }
    }
    var longer = Self.inputs
    longer.steps = [0..<1, 1..<2, 2..<3]
    longer.learningRates = [1, 1, 1]
    refuse(Self.result, longer, Self.adapter)
    var fewer = Self.adapter
    fewer.pairs[.init(layer: 11, kind: "down_proj")] = nil
    refuse(Self.result, Self.inputs, fewer)
    var other = Self.adapter
    other.pairs[.init(layer: 11, kind: "down_proj")] = .init(
      rank: 2, inputs: 1, outputs: 1, a: [1, 2], b: [1, 2])
    refuse(Self.result, Self.inputs, other)
    for change: (inout TrainResult) -> Void in [
      { $0.losses[0] = .nan }, { $0.norms[1] = -1 }, { $0.losses[1] = 1.7e308 },
      { $0.losses[1] = 10_001 }, { $0.norms[0] = .infinity },
      { $0.changes[.init(layer: 0, kind: "q_proj")]?.a[0] = .infinity },
      { $0.changes[.init(layer: 0, kind: "q_proj")]?.b[0] = .nan },
    ] {
      var result = Self.result
      change(&result)
      refuse(result, Self.inputs, Self.adapter)
    }
    for labels in [[1, 0, 0], [1, 0, 2]] {
      let wrong = try ValidateResult(lossSums: [1, 0, 2], labels: labels).encoded()
      #expect(throws: PayloadError.self) { try ValidateResult(decoding: wrong, for: Self.examples) }
    }
    // Negative, more than any model loses, and something lost where nothing was to be foreseen.
    for sums in [[1, 0, -2], [1.7e308, 0, 1.7e308], [10_001, 0, 1], [1, 1, 1], [.nan, 0, 1]] {
      let wrong = try ValidateResult(lossSums: sums, labels: [1, 0, 1]).encoded()
      #expect(throws: PayloadError.self) { try ValidateResult(decoding: wrong, for: Self.examples) }
    }
    let high = ValidateResult(lossSums: [9_999, 0, 2], labels: [1, 0, 1])
    #expect(try ValidateResult(decoding: high.encoded(), for: Self.examples) == high)
  }

  /// Files of other programs, each wrong in one place.
  @Test(arguments: [
    "alpha", "flag", "nothing", "name", "layer", "unpaired", "rank", "empty", "type",
  ])
  func wrongAdaptersAreRefused(_ wrong: String) throws {
    var writer = SafetensorsWriter()
    try writer.add("alpha", [wrong == "alpha" ? Double.nan : 1])
    try writer.add("rank_stabilised", [UInt8(wrong == "flag" ? 2 : 0)])
    switch wrong {
    case "nothing": break
    case "name": try writer.add("layer.0.q_proj.a", shape: [1, 1], [1] as [Float])
    case "layer": try writer.add("layers.00.q_proj.a", shape: [1, 1], [1] as [Float])
    case "unpaired": try writer.add("layers.0.q_proj.b", shape: [1, 1], [1] as [Float])
    case "rank":
      try writer.add("layers.0.q_proj.a", shape: [1, 1], [1] as [Float])
      try writer.add("layers.0.q_proj.b", shape: [1, 2], [1, 2] as [Float])
    case "empty":
      try writer.add("layers.0.q_proj.a", shape: [1, 0], [] as [Float])
      try writer.add("layers.0.q_proj.b", shape: [1, 1], [1] as [Float])
    case "type":
      try writer.add("layers.0.q_proj.a", shape: [1, 1], [1] as [Int32])
      try writer.add("layers.0.q_proj.b", shape: [1, 1], [1] as [Float])
    default:
      try writer.add("layers.0.q_proj.a", shape: [1, 1], [1] as [Float])
      try writer.add("layers.0.q_proj.b", shape: [1, 1], [1] as [Float])
    }
    let data = writer.data()
    #expect { try AdapterPayload(decoding: data) } throws: {
      $0 is PayloadError || $0 is FormatError
    }
  }
}
