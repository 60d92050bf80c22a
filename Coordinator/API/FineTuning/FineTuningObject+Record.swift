import APIObjects
import CoordinatorCore
import CoordinatorStore
import WireProtocol

extension FineTuningObject {
  package init(_ record: FineTuningJobRecord, now: Timestamp) {
    let (job, plan) = (record.job, record.plan)
    let parameters = Hyperparameters(
      nEpochs: Choice(plan?.epochs ?? job.options.epochs),
      batchSize: Choice(plan?.batchSize ?? job.options.batchSize),
      learningRateMultiplier: Choice(
        plan.map { $0.learningRate / FineTuningOptions.Automatic.learningRate }
          ?? job.options.learningRateMultiplier))
    self.init(
      id: record.id, createdAt: record.createdAt.seconds,
      error: record.failure.map { Failure(code: $0.code, message: $0.message, param: $0.param) },
      estimatedFinish: record.estimatedFinish(now: now)?.seconds,
      fineTunedModel: record.tunedModel, finishedAt: record.endedAt?.seconds,
      hyperparameters: parameters, metadata: job.metadata,
      method: Method(supervised: .init(hyperparameters: parameters)), model: job.model,
      resultFiles: record.resultFileIDs, seed: job.seed,
      status: record.state.status(hasBegun: record.hasBegun),
      trainedTokens: record.state.hasEnded ? record.trainedTokens : nil,
      trainingFile: job.trainingFileID, validationFile: job.validationFileID, suffix: job.suffix)
  }
}

extension FineTuningJobRecord {
  /// As if rounds went on as fast as so far; nil where that is not known.
  fileprivate func estimatedFinish(now: Timestamp) -> Timestamp? {
    guard state == .running, hasBegun, let plan, let startedAt, rounds > 1 else { return nil }
    let each = now.seconds(since: startedAt) / Double(rounds - 1)
    return now.adding(seconds: each * Double(max(0, plan.rounds + 1 - rounds)))
  }
}

extension FineTuningEventObject {
  package init(_ event: FineTuningEvent) {
    self.init(
      id: event.id, createdAt: event.createdAt.seconds, level: event.level.rawValue,
      message: event.message, type: event.metrics == nil ? "message" : "metrics",
      data: event.metrics)
  }
}

extension FineTuningCheckpointObject {
  /// - Parameters:
  ///   - round: one after the first, whose adapter has learnt something.
  ///   - before: the round that was joined into it.
  init(
    _ round: FineTuningRoundRecord, after before: FineTuningRoundRecord?,
    of job: FineTuningJobRecord, _ plan: FineTuningPlan
  ) {
    let step = plan.steps(through: round.number - 1)
    self.init(
      id: round.checkpointID, createdAt: round.publishedAt.seconds,
      fineTunedModelCheckpoint: TunedModel(job).checkpoint(step: step), fineTuningJobID: job.id,
      metrics: Metrics(
        step: step, trainLoss: before?.metrics?.meanLoss, trainMeanTokenAccuracy: nil,
        validLoss: round.validationLoss, validMeanTokenAccuracy: nil,
        fullValidLoss: round.validationLoss, fullValidMeanTokenAccuracy: nil),
      stepNumber: step)
  }
}
