import WireProtocol

/// A worker gives a lease back.
package struct AbandonLease: FleetEvent {
  package let lease: String
  package let worker: String
  package let reason: Abandonment.Reason
  package let detail: String

  package init(lease: String, worker: String, reason: Abandonment.Reason, detail: String) {
    self.lease = lease
    self.worker = worker
    self.reason = reason
    self.detail = detail
  }

  /// - Throws: `Lack`; `StoreError.leaseUnknown`.
  package func decide(in fleet: inout Fleet) throws {
    let (unit, place) = try fleet.requireLease(lease, worker: worker)
    let replica = unit.unit.replicas[place]
    guard case .running = replica.state else { return }
    let issued = unit.leases[place].issuedAt
    // Before the unit is settled, so that what the trusted machine finds can name it.
    if reason == .invalidUnit, let model = fleet.queues[unit.queue]?.model {
      fleet.noteRefusal(of: worker, Refusal(model: model, replica: replica.id, issuedAt: issued))
    }
    // The line of a batch that fails for it, and its log, show the words.
    try fleet.lose(
      replica.id, of: unit, as: .abandoned(reason), detail: ForeignText.line(detail) ?? "")
    switch reason {
    case .shuttingDown: try fleet.noteReturn(by: worker)
    case .invalidUnit: break
    case .outOfMemory, .blobUnavailable, .failed:
      try fleet.noteFailure(of: worker, leased: issued)
    }
  }
}

extension Fleet {
  /// Keeps that a worker called a unit invalid, and forgets what counts no more.
  fileprivate mutating func noteRefusal(of worker: String, _ refusal: Refusal) {
    let since = now.adding(seconds: -max(3600, policy.refutedSeconds))
    change(WorkerRow.self, worker) { row in
      row.refusals.removeAll { $0.issuedAt < since }
      row.refusals.append(refusal)
    }
  }
}
