import WireProtocol

extension Fleet {
  /// What a key uses of its quota. A batch counts by its lines before they are validated, and not
  /// at all once it failed; while it or a fine-tuning job runs, by the tokens that it may take. A
  /// blob that jobs keep counts once, and as the file that it is where it is one.
  package func usage(ofKey key: String, at time: Timestamp) -> Quota.Usage {
    var usage = Quota.Usage()
    for number in index.work.batchesOfKey[key] {
      guard let batch = batches[number] else { continue }
      if !batch.record.state.hasEnded { usage.openBatches += 1 }
      guard isOfDay(batch.record.times.created, time) else { continue }
      if batch.record.state != .failed {
        usage.requests += max(batch.record.total, batch.lines)
      }
      let used = batch.record.inputTokens + batch.record.outputTokens
      let isRunning = batch.record.state == .inProgress || batch.record.state == .cancelling
      usage.tokens += isRunning ? max(batch.reservedTokens, used) : used
    }
    for number in index.work.jobsOfKey[key] {
      guard let job = tuningJobs[number] else { continue }
      if !job.record.state.hasEnded { usage.openBatches += 1 }
      guard isOfDay(job.record.createdAt, time) else { continue }
      let isRunning = job.record.state == .running || job.record.state == .paused
      usage.tokens +=
        isRunning ? max(job.reservedTokens, job.record.trainedTokens) : job.record.trainedTokens
    }
    usage.storedBytes = storedBytes(ofKey: key, at: time)
    return usage
  }

  /// What others create at this moment counts; what is from before the clock was set back does not.
  private func isOfDay(_ created: Timestamp, _ time: Timestamp) -> Bool {
    time.adding(seconds: -Quota.daySeconds) < created
      && created < time.adding(seconds: Quota.daySeconds)
  }

  private func storedBytes(ofKey key: String, at time: Timestamp) -> Int {
    var bytes = 0
    var blobs: Set<Digest> = []
    for number in index.clients.filesOfKey[key] ?? SortedArray() {
      guard let file = files[number]?.record, file.isThere(at: time) else { continue }
      bytes += file.bytes
      blobs.insert(file.blob)
    }
    var kept: [Digest: Int] = [:]
    for number in index.work.jobsOfKey[key] {
      for (blob, size) in tuningJobs[number]?.blobs ?? [:] where !blobs.contains(blob) {
        kept[blob] = max(kept[blob] ?? 0, size)
      }
    }
    return bytes + kept.values.reduce(0, +)
  }
}
