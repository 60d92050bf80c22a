import APIObjects
import ArgumentParser
import Foundation
import Models

/// Fine-tuning with a coordinator's volunteers.
extension FinetuneCommand {
  /// On a coordinator.
  func runJob() async throws {
    let folder = dryRun ? nil : try output.map(newFolder)
    var metadata = ["tally_pool": pool.rawValue]
    metadata["tally_data_licence"] = dataLicence
    metadata["tally_data_source"] = dataSource
    let parameters = FineTuningJobCreation.Hyperparameters(
      n_epochs: epochs, batch_size: batchSize, learning_rate_multiplier: learningRate / 2e-4,
      rank: rank, alpha: alpha,
      rank_stabilised: rankStabilised,
      target_modules: try targets.map { _ in try kinds().map(\.rawValue).sorted() },
      max_tokens: maxTokens, hold_out: validation == nil ? holdOut : nil, shards: shards,
      local_steps: localSteps,
      weight_decay: weightDecay, patience: patience)
    let creation = FineTuningJobCreation(
      model: model, training_file: "", validation_file: nil, suffix: suffix, seed: seed,
      metadata: metadata,
      method: .init(supervised: .init(hyperparameters: parameters)))
    try await APIClient.with(connection) { client in
      let remote = RemoteFineTuning(
        client: client, data: data, validation: validation, creation: creation)
      if dryRun {
        let (estimate, bytes) = try await remote.estimate()
        if json { return Terminal.output.json(bytes) }
        return show(estimate)
      }
      if pool == .public {
        Terminal.error.line(
          Terminal.error.styled(
            "Public pool: people whose machines learn from these examples can read them. (--pool "
              + "trusted keeps them to the operator's own.)", .yellow))
      }
      let job = try await remote.create()
      if detach { return Terminal.output.line(job.id) }
      Terminal.error.line(
        "\(job.id) goes on by itself if you leave; come back with: tally status \(job.id) --wait")
      var bar = ProgressBar()
      let progress = try await FineTuningWatcher(client: client).wait(for: job.id, bar: &bar)
      try await conclude(progress, folder, client)
    }
  }

  private func conclude(_ progress: FineTuningProgressObject, _ folder: URL?, _ client: APIClient)
    async throws
  {
    let job = progress.job
    guard job.status == "succeeded", let name = job.fineTunedModel else {
      throw CommandError(job.error?.message ?? "the job is \(job.status)")
    }
    if let folder {
      try await AdapterDownload(client: client).peft(
        name, resultFiles: job.resultFiles, to: folder)
    }
    if json {
      let path = "/tally/v1/fine_tuning/jobs/\(job.id)"
      return Terminal.output.json(try await client.data(path))
    }
    let out = Terminal.output
    if let summary = progress.heldOutSummary { out.line(summary) }
    out.line(
      "\(Spelled.count(job.trainedTokens ?? 0)) tokens learnt in "
        + "\(progress.rounds.count { $0.joined != nil }) rounds, \(progress.unitsAccepted) units "
        + "verified")
    out.line("the tuned model is \(name), which batches may name")
    if let folder {
      out.line("the adapter is in \(folder.path)")
    } else {
      out.line("fetch the adapter with: tally adapter export \(name) --output FOLDER")
    }
  }

  private func show(_ estimate: FineTuningEstimateObject) {
    let out = Terminal.output
    out.line(
      "\(Spelled.count(estimate.trainingExamples)) examples, \(Spelled.count(estimate.tokens)) "
        + "tokens, of which \(Spelled.count(estimate.learntTokens)) are learnt; "
        + "\(Spelled.count(estimate.validationExamples)) examples held out")
    if estimate.shortenedExamples > 0 {
      out.line(
        "\(Spelled.count(estimate.shortenedExamples)) examples reach --max-tokens \(maxTokens), "
          + "where they are cut off")
    }
    out.line(
      "\(Spelled.count(estimate.parameters)) parameters, \(Spelled.count(estimate.steps)) steps in "
        + "\(estimate.rounds) rounds, "
        + (estimate.shards == 1
          ? "by one machine at a time" : "by \(estimate.shards) machines at a time"))
    out.line(
      "\(Spelled.count(estimate.trainUnits)) units that learn and "
        + "\(Spelled.count(estimate.validateUnits)) that measure, each run by "
        + "\(estimate.replicas == 1 ? "one account" : "\(estimate.replicas) accounts")")
    out.line(
      "\(Spelled.bytes(estimate.trafficBytes)) of traffic, and "
        + "\(Spelled.bytes(estimate.modelBytes)) once for each worker that does not have the "
        + "model; a worker needs \(Spelled.bytes(estimate.workerMemoryBytes)) of memory")
    if let seconds = estimate.seconds {
      out.line(
        "would take about \(ProgressBar.duration(seconds)) with the workers that are there now")
    } else {
      out.line(
        "no worker that is there now has finished a unit yet, so that nobody can say how long it "
          + "takes")
    }
  }
}
