import WireProtocol

extension Fleet {
  /// How far a batch is. Waiting requests are counted with their mean length: exact enough for a
  /// progress bar.
  ///
  /// - Throws: `Lack`; `StoreError.notFound`.
  package func progress(
    ofBatch id: String, key: String?, at time: Timestamp
  ) throws -> BatchProgress {
    let batch = try requireBatch(id, key: key)
    var progress = BatchProgress(
      batch: batch.record, units: BatchProgress.Units(), replicas: BatchProgress.Replicas(),
      agreements: 0, replays: 0, waitingRequests: 0, flopsDone: batch.flopsDone,
      flopsEstimated: batch.flopsDone, waitReasons: [], secondsLeft: 0)
    for number in index.work.queuesOfOwner[.batch(batch.number)].sorted() {
      guard let queue = queues[number] else { continue }
      progress.count(queue.tally)
      progress.flopsEstimated += queue.tally.openFlops
      progress.waitingRequests += queue.waiting
      progress.flopsEstimated += waitingFlops(queue)
    }
    if batch.record.state == .inProgress {
      var reasons = try waitReasons(
        of: .batch(batch.number), pool: batch.record.pool,
        open: progress.waitingRequests + progress.units.open, at: time)
      reasons.model = batch.record.model.map { "model \($0)" } ?? reasons.model
      progress.waitReasons = reasons.sentences()
    }
    if !batch.record.state.hasEnded {
      progress.secondsLeft = max(0, Int(batch.record.times.expires.seconds(since: time)))
    }
    return progress
  }

  private func waitingFlops(_ queue: QueueRow) -> Double {
    let sequences = queue.waitingSequences
    guard queue.waiting > 0, sequences > 0, let cost = manifests[queue.model]?.cost else {
      return 0
    }
    let limit = max(1, queue.waitingMaxTokens / sequences)
    return Double(sequences)
      * cost.flops(
        prompt: queue.waitingPromptTokens / sequences,
        generated: queue.estimate.tokens(limit: limit))
  }
}

extension BatchProgress {
  fileprivate mutating func count(_ tally: UnitTally) {
    func units(_ state: String) -> Int { tally.units[state] ?? 0 }
    func replicas(_ states: String...) -> Int {
      states.reduce(0) { $0 + (tally.replicas[$1] ?? 0) }
    }
    self.units.open += units("open")
    self.units.awaitingReplay += units("awaiting_replay")
    self.units.accepted += units("accepted")
    self.units.failed += units("failed")
    self.units.cancelled += units("cancelled")
    self.replicas.running += replicas("running")
    self.replicas.waiting += replicas("submitted")
    self.replicas.accepted += replicas("accepted")
    self.replicas.rejected += replicas("rejected", "taken_back")
    self.replicas.lost += replicas("expired", "abandoned", "not_needed", "revoked")
    agreements += tally.verified[Verification.quorum.rawValue] ?? 0
    self.replays += tally.verified[Verification.replay.rawValue] ?? 0
  }
}
