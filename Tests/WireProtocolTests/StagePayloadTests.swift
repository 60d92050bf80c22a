import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

@Suite struct StagePayloadTests {
  static func rows(_ columns: Int, count: Int = 4) -> StageActivations.Rows {
    .init(columns: columns, values: (0..<columns * count).map { Float($0) / 8 })
  }

  static let activations = StageActivations(
    sequences: [[1, 2, 3], [9]], hidden: rows(5), perLayerInputs: rows(2),
    shared: [0: .init(keys: rows(3), values: rows(1)), 12: .init(keys: rows(1), values: rows(2))])

  static let scores: StageScores = {
    var scores = StageScores(sequences: [.init(tokens: 3), .init(tokens: 1)])
    scores.sequences[0].logprobs = [-1, -2]
    scores.sequences[0].likeliest = [4, 5, 6]
    scores.sequences[0].likeliestLogprobs = [-0.5, -0.25, -0.125]
    scores.sequences[1].firstNonFinite = 0
    return scores
  }()

  @Test func activationsComeBackAsWritten() throws {
    let bytes = try Self.activations.encoded()
    #expect(try StageActivations(decoding: bytes) == Self.activations)
    #expect(try Self.activations.encoded() == bytes)
    let tokens = StageActivations(sequences: [[7], [8, 9]])
    #expect(try StageActivations(decoding: tokens.encoded()) == tokens)
  }

  @Test func scoresComeBackAsWritten() throws {
    let bytes = try Self.scores.encoded()
    #expect(try StageScores(decoding: bytes, for: Self.activations) == Self.scores)
  }

  @Test func scoresOfOtherInputsAreRefused() throws {
    let bytes = try Self.scores.encoded()
    for sequences: [[Int32]] in [[[1, 2, 3]], [[1, 2, 3, 4]], [[1, 2], [9, 9, 9]]] {
      #expect(throws: FormatError.self) {
        try StageScores(decoding: bytes, for: StageActivations(sequences: sequences))
      }
    }
    // As many tokens in as many sequences, but the position is past the end of its own.
    var late = Self.scores
    late.sequences[1].firstNonFinite = 1
    #expect(throws: PayloadError.self) {
      try StageScores(decoding: late.encoded(), for: Self.activations)
    }
  }

  @Test func whatCannotBeReadAgainIsNotWritten() {
    var short = Self.activations
    short.hidden?.values.removeLast()
    #expect(throws: PayloadError.self) { try short.encoded() }
    var empty = Self.activations
    empty.hidden = .init(columns: 0, values: [])
    #expect(throws: PayloadError.self) { try empty.encoded() }
  }

  /// Files of other programs, each wrong in one place.
  @Test(arguments: [
    "tokens", "offsets", "empty sequence", "no sequence", "rows", "columns", "type", "name",
    "layer", "spelling", "keys", "values",
  ])
  func wrongFilesAreRefused(_ wrong: String) throws {
    var writer = SafetensorsWriter()
    if wrong != "tokens" { try writer.add("tokens", [1, 2, 3] as [Int32]) }
    switch wrong {
    case "offsets": try writer.add("offsets", [0, 2] as [Int32])
    case "empty sequence": try writer.add("offsets", [0, 0, 3] as [Int32])
    case "no sequence": try writer.add("offsets", [0] as [Int32])
    default: try writer.add("offsets", [0, 3] as [Int32])
    }
    switch wrong {
    case "rows": try writer.add("hidden", shape: [2, 1], [1, 2] as [Float])
    case "columns": try writer.add("hidden", shape: [3, 0], [] as [Float])
    case "type": try writer.add("hidden", shape: [3, 1], [1, 2, 3] as [Int32])
    case "name": try writer.add("more", shape: [3, 1], [1, 2, 3] as [Float])
    case "layer":
      try writer.add("keys.99999999", shape: [3, 1], [1, 2, 3] as [Float])
      try writer.add("values.99999999", shape: [3, 1], [1, 2, 3] as [Float])
    case "spelling":
      try writer.add("keys.01", shape: [3, 1], [1, 2, 3] as [Float])
      try writer.add("values.01", shape: [3, 1], [1, 2, 3] as [Float])
    case "keys": try writer.add("keys.1", shape: [3, 1], [1, 2, 3] as [Float])
    case "values": try writer.add("values.1", shape: [3, 1], [1, 2, 3] as [Float])
    default: break
    }
    let data = writer.data()
    #expect { try StageActivations(decoding: data) } throws: {
      $0 is PayloadError || $0 is FormatError
    }
  }

  /// The name of a unit must never change.
  @Test func aPartIsPartOfTheUnitsName() throws {
    let digest = MessageTests.digest
    let unit = UnitSpecification(
      kind: .stageForward, profile: "exact-1", model: digest, inputs: digest, cache: .f32,
      part: UnitPart(embedding: true, layers: 0..<2, head: false))
    let text = String(decoding: try CanonicalJSON.encode(unit), as: UTF8.self)
    #expect(
      text == #"{"cache":"f32","inputs":"\#(digest.hex)","kind":"stage_forward","model":"#
        + #""\#(digest.hex)","part":{"embedding":true,"endLayer":2,"firstLayer":0,"head":false},"#
        + #""profile":"exact-1"}"#)
  }

  @Test func onlyPartsThatAModelHasFit() {
    func fits(_ embedding: Bool, _ first: Int, _ end: Int, _ head: Bool) -> Bool {
      var part = UnitPart(embedding: embedding, layers: 0..<0, head: head)
      (part.firstLayer, part.endLayer) = (first, end)
      return part.fits(layerCount: 4)
    }
    #expect(fits(true, 0, 4, true) && fits(true, 0, 0, false) && fits(false, 4, 4, true))
    #expect(fits(false, 1, 3, false) && fits(true, 0, 2, false) && fits(false, 2, 4, true))
    #expect(!fits(true, 1, 2, false) && !fits(false, 1, 3, true) && !fits(false, 2, 2, false))
    #expect(!fits(false, 3, 2, false) && !fits(false, -1, 2, false) && !fits(false, 2, 5, false))
  }
}
