import Execution
import Kernels
import Testing
import WirePayloads
import WireProtocol

/// Runs that are interrupted and go on from the sequences that had ended.
@Suite struct ResumedRunTests {
  let specification = GenerationEngineTests().specification
  let inputs = GenerateInputs(sequences: GenerationEngineTests.mixed)

  @Test func theResultHasTheSameBitsAndLessIsComputed() throws {
    let whole = FakeModel()
    let expected = try UnitExecutor.run(
      specification, inputs: inputs, vocabulary: nil, model: whole, compute: try testCompute())
    let limits = BatchLimits(activeSequences: 4, rows: 16)
    for interruption in [1, 3, 8, 22] {
      var kept: [Int: GenerateResult.Sequence] = [:]
      #expect(throws: ExecutionError.cancelled) {
        try UnitExecutor.run(
          specification, inputs: inputs, vocabulary: nil, model: FakeModel(),
          compute: try testCompute(), limits: limits,
          isCancelled: { kept.count >= interruption }, sequenceFinished: { kept[$0] = $1 })
      }
      #expect(kept.count >= interruption && kept.count < inputs.sequences.count)
      let model = FakeModel()
      var further: Set<Int> = []
      let resumed = try UnitExecutor.run(
        specification, inputs: inputs, vocabulary: nil, model: model, compute: try testCompute(),
        limits: limits, finished: kept, sequenceFinished: { index, _ in further.insert(index) })
      #expect(try resumed.encoded() == expected.encoded())
      #expect(model.rows < whole.rows)
      #expect(further == Set(inputs.sequences.indices).subtracting(kept.keys))
    }
  }

  @Test func nothingIsComputedWhenEverythingWasFinished() throws {
    let expected = try UnitExecutor.run(
      specification, inputs: inputs, vocabulary: nil, model: FakeModel(),
      compute: try testCompute())
    let model = FakeModel()
    let finished = Dictionary(
      uniqueKeysWithValues: expected.sequences.enumerated().map { ($0, $1) })
    let resumed = try UnitExecutor.run(
      specification, inputs: inputs, vocabulary: nil, model: model, compute: try testCompute(),
      finished: finished)
    #expect(resumed == expected)
    #expect(model.rows == 0)
  }
}
