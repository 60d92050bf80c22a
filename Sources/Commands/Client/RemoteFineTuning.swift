import APIObjects
import Foundation

/// A fine-tuning job on a coordinator, from the files to the adapter's folder.
struct RemoteFineTuning {
  let client: APIClient
  let data: String
  let validation: String?
  /// Without its files, which are not there yet.
  let creation: FineTuningJobCreation

  /// Says what the job would take; leaves nothing behind.
  func estimate() async throws -> (object: FineTuningEstimateObject, json: Data) {
    let (creation, files) = try await uploaded()
    do {
      let json = try await client.postData("/tally/v1/fine_tuning/estimates", creation)
      for file in files { try? await client.delete("/v1/files/\(file)") }
      return (try JSONDecoder().decode(FineTuningEstimateObject.self, from: json), json)
    } catch {
      for file in files { try? await client.delete("/v1/files/\(file)") }
      throw error
    }
  }

  /// Uploads the files and makes the job.
  func create() async throws -> FineTuningObject {
    let (creation, _) = try await uploaded()
    return try await client.post("/v1/fine_tuning/jobs", creation, as: FineTuningObject.self)
  }

  private func uploaded() async throws -> (FineTuningJobCreation, files: [String]) {
    var creation = creation
    var files = [try await SubmitCommand.upload(data, for: "fine-tune", with: client).id]
    creation.training_file = files[0]
    if let validation {
      let file = try await SubmitCommand.upload(validation, for: "fine-tune", with: client).id
      creation.validation_file = file
      files.append(file)
    }
    return (creation, files)
  }
}

/// Follows a job until it ends, through restarts of the coordinator.
struct FineTuningWatcher {
  let client: APIClient
  /// How long the coordinator may be out of reach.
  var patience: Duration = .seconds(600)

  /// Polls and draws until the job has ended.
  ///
  /// - Throws: `ConnectionFailure` when the coordinator stays away, `APIError` when it refuses.
  func wait(for id: String, bar: inout ProgressBar) async throws -> FineTuningProgressObject {
    var lastAnswer = ContinuousClock.now
    var told: Set<String> = []
    var pause = Duration.milliseconds(250)
    while true {
      do {
        let progress = try await client.get(
          "/tally/v1/fine_tuning/jobs/\(id)", as: FineTuningProgressObject.self)
        lastAnswer = .now
        bar.tell(progress.waitReasons ?? [], told: &told)
        bar.show(fraction: progress.fraction, detail: progress.detail)
        if progress.job.hasEnded {
          bar.finish()
          return progress
        }
      } catch let error where BatchWatcher.isPassing(error) {
        guard ContinuousClock.now - lastAnswer < patience else { throw error }
        bar.tell(["\(error); trying again"], told: &told)
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 1.25, .seconds(2))
    }
  }
}

extension FineTuningProgressObject {
  /// Steps that were joined, and the accepted shards of the open round.
  var fraction: Double {
    if job.status == "succeeded" { return 1 }
    guard roundsPlanned > 0 else { return 0 }
    let done = rounds.reduce(0.0) { sum, round in
      if round.joined != nil { return sum + 1 }
      return sum + (round.shards > 0 ? Double(round.accepted) / Double(round.shards) : 0)
    }
    return min(0.99, done / Double(roundsPlanned))
  }

  /// The last losses, for a line.
  var detail: String {
    guard roundsPlanned > 0 else { return job.status.replacing("_", with: " ") }
    var text = "round \(min(roundsPlanned, max(1, rounds.count - 1))) of \(roundsPlanned)"
    if let loss = rounds.last(where: { $0.trainLoss != nil })?.trainLoss {
      text += String(format: ", loss %.3f", loss)
    }
    if let loss = rounds.last(where: { $0.validLoss != nil })?.validLoss {
      text += String(format: ", held out %.3f", loss)
    }
    if paused { text += ", paused" }
    return text
  }

  /// What is said of a job that is looked at.
  func show() {
    let output = Terminal.output
    output.line(
      "\(output.styled(job.id, .bold))  "
        + "\(job.status.replacing("_", with: " "))\(paused ? " (paused)" : ""), \(pool) pool")
    if let error = job.error { output.line("  \(error.message)") }
    output.line("model     \(job.model)\(job.fineTunedModel.map { ", tuned as \($0)" } ?? "")")
    guard roundsPlanned > 0 else { return }
    output.line("steps     \(stepsDone) of \(stepsPlanned), in \(roundsPlanned) rounds")
    output.line(
      "units     \(unitsAccepted) accepted, \(unitsOpen) open, \(unitsLost) given up")
    for reason in waitReasons ?? [] {
      output.line(output.styled("waits     \(reason)", .yellow))
    }
    var table = TextTable(
      .number("ROUND"), .number("SHARDS"), .number("TRAINING LOSS"), .number("HELD-OUT LOSS"))
    func loss(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
    for round in rounds {
      let shards =
        round.number == 0
        ? "-"
        : round.joined.map { "\($0) of \(round.shards)" }
          ?? "\(round.accepted) of \(round.shards) so far"
      table.add(
        "\(round.number)", shards,
        loss(round.trainLoss), loss(round.validLoss))
    }
    output.line(table.rendered())
  }

  /// `3.2181 after round 5, before 4.4824 (-28.2 %)`; nil where nothing was held out.
  var heldOutSummary: String? {
    guard let before = rounds.first?.validLoss,
      let best = rounds.dropFirst().filter({ $0.validLoss != nil })
        .min(by: { ($0.validLoss ?? 0) < ($1.validLoss ?? 0) }), let after = best.validLoss
    else { return nil }
    return String(
      format: "held-out loss %.4f after round %d, before %.4f (%+.1f %%)", after, best.number,
      before,
      100 * (after / before - 1))
  }
}
