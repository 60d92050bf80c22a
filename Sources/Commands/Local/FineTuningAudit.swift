import CoordinatorCore
import Execution
import Foundation
import Models
import WirePayloads
import WireProtocol

/// Runs a fine-tuning job again from its transcript and compares every digest.
struct FineTuningAudit {
  /// What is different, where.
  struct Difference: Encodable {
    let place: String
    let expected: String
    let found: String
  }

  struct Report: Encodable {
    var job: String
    var rounds = 0
    var train_units = 0
    var validate_units = 0
    /// Units whose steps were taken again on this machine.
    var recomputed_units = 0
    /// The digest of the adapter that the job gave; nil as long as it has not ended.
    var adapter: String?
    var differences: [Difference] = []
  }

  let transcript: FineTuningTranscript
  let blobs: JobBlobs
  let runner: UnitRunner
  /// To compute with.
  let threads: Int
  /// Whether units are computed again; else their results are taken as they are, and only what was
  /// made of them is checked.
  let recomputes: Bool

  /// What units are computed again with.
  private struct Machine {
    let model: StoredModel
    let memory: MemoryAllowance
  }

  private var plan: FineTuningPlan { transcript.plan }

  /// - Parameter progress: told how much of the work is done, 0...1, and what is looked at.
  /// - Throws: `CommandError` for a transcript that makes no sense; `MemoryShortage`; what the
  ///   coordinator and the kernels throw.
  func run(progress: (Double, String) -> Void) async throws -> Report {
    if let problem = plan.problem { throw CommandError("the job's plan: \(problem)") }
    try checkShape()
    var report = Report(job: transcript.job)
    progress(0, "fetching")
    let bytes = try await blobs.read(plan.model)
    let manifest = try ModelManifest(json: bytes, name: plan.model.hex)
    let memory = LocalMemory.now()
    if recomputes { try await fetchChunks(of: manifest) }
    let training = try LabelledSequences(decoding: try await blobs.read(plan.training))
    var held: LabelledSequences?
    if let digest = plan.validation {
      held = try LabelledSequences(decoding: try await blobs.read(digest))
    }
    let rounds = try FineTuningRounds(plan, training: training)
    var adapter = try FineTuningRounds.initialAdapter(plan, manifest.description)
    let longest = (training.sequences + (held?.sequences ?? [])).reduce(0) {
      max($0, $1.tokens.count)
    }
    let machine = recomputes ? machine(bytes, .machine(memory, longest: longest)) : nil
    var velocity: AdapterPayload?
    let total = transcript.rounds.reduce(0) { $0 + $1.joined.count + $1.measured.count }
    var done = 0
    func tick(_ what: String) {
      done += 1
      progress(Double(done) / Double(max(1, total)), what)
    }
    for (index, round) in transcript.rounds.enumerated() {
      let place = "round \(index + 1)"
      report.compare("\(place), its number", "\(round.number)", "\(index)")
      let encoded = try adapter.encoded()
      report.compare("\(place), the adapter", round.adapter, BlobDigest.sha256(encoded))
      var joined: [FineTuningRounds.Joined] = []
      for unit in round.joined {
        guard let inputs = rounds.inputs(round: index, shard: unit.shard) else {
          throw CommandError("\(place) has no shard \(unit.shard)")
        }
        let name = "\(place), shard \(unit.shard + 1)"
        let blob = try inputs.encoded()
        try report.compare(name, unit, specification(.train, blob, encoded))
        let bytes = try await result(of: unit, .train, blob, encoded, machine)
        report.compare("\(name), the result", unit.result, BlobDigest.sha256(bytes))
        joined.append(
          .init(
            inputs: inputs, result: try TrainResult(decoding: bytes, for: inputs, from: adapter)))
        report.train_units += 1
        tick(name)
      }
      try await measure(round, held, encoded, machine, place, &report, tick)
      if recomputes { report.recomputed_units = report.train_units + report.validate_units }
      guard index + 1 < transcript.rounds.count else { break }
      (adapter, velocity) = try rounds.join(adapter, velocity: velocity, joined)
      report.rounds += 1
    }
    if let chosen = transcript.chosen {
      let losses = transcript.rounds.dropFirst().map(\.validationLoss)
      let best = EarlyStop.best(losses).map { $0 + 1 } ?? transcript.rounds.count - 1
      report.compare("the round that was chosen", "\(chosen)", "\(best)")
      if transcript.rounds.indices.contains(chosen) {
        report.adapter = transcript.rounds[chosen].adapter.hex
      }
    }
    return report
  }

  /// Refuses a transcript that leaves out what it should tell.
  private func checkShape() throws {
    let rounds = transcript.rounds
    guard !rounds.isEmpty, rounds.count <= plan.rounds + 1 else {
      throw CommandError("the transcript has \(rounds.count) rounds, the plan \(plan.rounds)")
    }
    for (index, round) in rounds.enumerated() {
      let shards = round.joined.map(\.shard)
      guard Set(shards).count == shards.count, shards == shards.sorted(),
        shards.allSatisfy((0..<plan.shards).contains), shards.isEmpty || index < plan.rounds,
        !shards.isEmpty || index == rounds.count - 1
      else {
        throw CommandError("round \(index + 1) of the transcript is not of the plan's shards")
      }
    }
    guard let chosen = transcript.chosen else { return }
    guard rounds.indices.contains(chosen), chosen > 0 else {
      throw CommandError("the transcript chooses a round that it does not have")
    }
  }

  private func measure(
    _ round: FineTuningTranscript.Round, _ held: LabelledSequences?, _ encoded: Data,
    _ machine: Machine?, _ place: String, _ report: inout Report, _ tick: (String) -> Void
  ) async throws {
    var (sum, labels) = (0.0, 0)
    for unit in round.measured {
      guard let held, (0..<plan.validationUnits).contains(unit.shard) else {
        throw CommandError("\(place) measures what is not held out")
      }
      let part = LabelledSequences(
        sequences: Array(held.sequences[plan.validation(unit: unit.shard)]))
      let name = "\(place), held-out part \(unit.shard + 1)"
      let blob = try part.encoded()
      try report.compare(name, unit, specification(.validate, blob, encoded))
      let bytes = try await result(of: unit, .validate, blob, encoded, machine)
      report.compare("\(name), the result", unit.result, BlobDigest.sha256(bytes))
      let result = try ValidateResult(decoding: bytes, for: part)
      sum += result.lossSums.reduce(0, +)
      labels += result.labels.reduce(0, +)
      report.validate_units += 1
      tick(name)
    }
    guard labels > 0, let loss = round.validationLoss else { return }
    report.compare("\(place), the held-out loss", "\(loss)", "\(sum / Double(labels))")
  }

  private func specification(
    _ kind: UnitKind, _ inputs: Data, _ adapter: Data
  ) -> UnitSpecification {
    UnitSpecification(
      kind: kind, model: plan.model, inputs: BlobDigest.sha256(inputs), cache: .f32,
      adapter: BlobDigest.sha256(adapter))
  }

  /// A unit's result: computed here, or as the coordinator has it.
  ///
  /// The transcript's specification says what is computed; a kind or a model that is not the plan's
  /// was reported as a difference, and nothing but the plan's is run.
  private func result(
    of unit: FineTuningTranscript.Unit, _ kind: UnitKind, _ inputs: Data, _ adapter: Data,
    _ machine: Machine?
  ) async throws -> Data {
    guard let machine else { return try await blobs.read(unit.result) }
    var specification = specification(kind, inputs, adapter)
    // Of another profile or cache nothing can be computed.
    specification.profile = unit.specification.profile
    specification.cache = unit.specification.cache
    let work = UnitWork(specification, inputs: inputs, adapter: adapter, threads: threads)
    return try runner.run(work, on: .store(machine.model), within: machine.memory).result
  }

  private func machine(_ manifest: Data, _ memory: MemoryAllowance) -> Machine {
    let blobs = blobs
    return Machine(
      model: StoredModel(plan.model, manifest: manifest, verifiesChunks: true) {
        blobs.file($0).path
      }, memory: memory)
  }

  private func fetchChunks(of manifest: ModelManifest) async throws {
    for chunk in manifest.distinctChunks(of: .whole(of: manifest.description)) {
      guard let digest = Digest(hex: chunk.sha256) else {
        throw ExecutionError.chunkNameMalformed
      }
      try await blobs.fetch(digest)
    }
  }
}

extension FineTuningAudit.Report {
  fileprivate mutating func compare(_ place: String, _ expected: Digest, _ found: Digest) {
    compare(place, expected.hex, found.hex)
  }

  fileprivate mutating func compare(_ place: String, _ expected: String, _ found: String) {
    guard expected != found else { return }
    differences.append(.init(place: place, expected: expected, found: found))
  }

  /// Whether the job ran the unit that its plan asks for.
  fileprivate mutating func compare(
    _ place: String, _ unit: FineTuningTranscript.Unit, _ specification: UnitSpecification
  ) throws {
    compare("\(place), the unit", unit.unit, try BlobDigest.unit(specification))
    compare("\(place), the specification", unit.unit, try BlobDigest.unit(unit.specification))
  }
}
