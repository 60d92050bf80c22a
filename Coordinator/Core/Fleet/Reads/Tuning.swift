import ModelFormats
import WireProtocol

extension TuningJobRow {
  /// Whether its metadata have all these pairs, compared by code points.
  package func matches(_ metadata: ExactDictionary<String>) -> Bool {
    metadata.allSatisfy { pair in
      guard let own = record.job.metadata?[pair.key] else { return false }
      return own.unicodeScalars.elementsEqual(pair.value.unicodeScalars)
    }
  }

  /// Whether a blob is one that the job's transcript names.
  ///
  /// - Parameter units: all of the job.
  package func names(_ blob: Digest, units: [UnitRow]) -> Bool {
    if blobs[blob] != nil, blob != record.job.trainingBlob, blob != record.job.validationBlob {
      return true
    }
    return units.contains {
      $0.specification.inputs == blob || $0.unit.state.acceptance?.result == blob
    }
  }
}

extension Fleet {
  /// Jobs that are validated or run, oldest first.
  package func openJobs(limit: Int) -> [FineTuningJobRecord] {
    index.work.openJobs.lazy.compactMap { tuningJobs[$0]?.record }
      .filter { $0.state == .validating || $0.state == .running }.prefix(limit).map(\.self)
  }

  /// Every published round in order.
  ///
  /// - Parameters:
  ///   - rounds: of the job, in order.
  ///   - units: of the job.
  ///   - openOnly: units are listed only of the last round and of those whose held-out loss is not
  ///     known yet.
  package func rounds(
    of job: TuningJobRow, _ rounds: [TuningRoundRow], units: [UnitRow], openOnly: Bool
  ) -> [FineTuningRoundRecord] {
    let isMeasured = job.record.plan?.validation != nil
    let byRound = Dictionary(grouping: units, by: { $0.tuning?.round ?? 0 })
    return rounds.map { round in
      let isOpen =
        round.number == job.record.rounds - 1 || (isMeasured && round.validationLoss == nil)
      let own = !openOnly || isOpen ? byRound[round.number] ?? [] : []
      return FineTuningRoundRecord(
        number: round.number, adapter: round.adapter, publishedAt: round.publishedAt,
        joinedAt: round.joinedAt, metrics: round.metrics, validationLoss: round.validationLoss,
        checkpointID: round.checkpointID,
        units: own.sorted { left, right in
          (left.kind.rawValue, left.tuning?.shard ?? 0)
            < (right.kind.rawValue, right.tuning?.shard ?? 0)
        }.map(record))
    }
  }

  private func record(of unit: UnitRow) -> FineTuningRoundRecord.Unit {
    let shown: RoundRule.Shard =
      switch unit.unit.state {
      case .open, .awaitingReplay: .open
      case .accepted: .accepted(unit.endedAt ?? unit.createdAt)
      case .failed, .cancelled: .lost
      }
    let all = Set(unit.unit.replicas.lazy.filter { $0.state == .accepted }.map(\.account))
    let named = all.sorted().compactMap { id in
      accounts[id].flatMap { $0.isNamed ? $0.name : nil }
    }
    let acceptance = unit.unit.state.acceptance
    return FineTuningRoundRecord.Unit(
      kind: unit.kind, shard: unit.tuning?.shard ?? 0, digest: unit.digest,
      specification: unit.specification, shown: shown,
      result: unit.delivered ?? acceptance?.result, verification: acceptance?.verification,
      isJoined: unit.tuning?.isJoined ?? false, accounts: named,
      unnamedAccounts: all.count - named.count)
  }
}
