import APIObjects
import CoordinatorCore
import CoordinatorStore

extension BatchObject {
  package init(_ record: BatchRecord) {
    let times = record.times
    self.init(
      id: record.id, endpoint: record.endpoint, model: record.model,
      errors: record.errors.isEmpty
        ? nil
        : Errors(
          data: record.errors.map {
            Entry(code: $0.code, line: $0.line, message: $0.message, param: $0.param)
          }),
      inputFileID: record.inputFileID, completionWindow: record.completionWindow,
      status: record.state.status, outputFileID: record.outputFileID,
      errorFileID: record.errorFileID, createdAt: times.created.seconds,
      inProgressAt: times.inProgress?.seconds, expiresAt: times.expires.seconds,
      finalizingAt: times.finalizing?.seconds, completedAt: times.completed?.seconds,
      failedAt: times.failed?.seconds, expiredAt: times.expired?.seconds,
      cancellingAt: times.cancelling?.seconds, cancelledAt: times.cancelled?.seconds,
      requestCounts: Counts(
        total: record.total, completed: record.completed, failed: record.failed),
      usage: Usage(
        inputTokens: record.inputTokens, outputTokens: record.outputTokens,
        totalTokens: record.inputTokens + record.outputTokens),
      metadata: record.metadata)
  }
}

extension ProgressObject {
  package init(_ progress: BatchProgress) {
    let (units, replicas) = (progress.units, progress.replicas)
    self.init(
      batch: BatchObject(progress.batch), pool: progress.batch.pool.rawValue,
      units: Units(
        total: units.total, open: units.open, awaitingReplay: units.awaitingReplay,
        accepted: units.accepted, failed: units.failed, cancelled: units.cancelled),
      replicas: Replicas(
        running: replicas.running, waiting: replicas.waiting, accepted: replicas.accepted,
        rejected: replicas.rejected, lost: replicas.lost),
      agreements: progress.agreements, replays: progress.replays,
      waitingRequests: progress.waitingRequests, flopsDone: progress.flopsDone,
      flopsEstimated: progress.flopsEstimated, waitReasons: progress.waitReasons,
      secondsLeft: progress.secondsLeft)
  }
}
