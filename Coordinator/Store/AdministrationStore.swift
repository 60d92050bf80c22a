import CoordinatorCore
import WireProtocol

/// What an operator sets while the coordinator runs; the next lease or request goes by it.
package protocol AdministrationStore: Sendable {
  func administration() async throws -> Administration
  func setLeasing(_ state: LeasingState) async throws
  /// - Parameter message: for volunteers, at most `StoreLimit.messageCharacters`; nil clears it.
  /// - Throws: `StoreError.invalid` when it is too long.
  func setMessage(_ message: String?) async throws
  /// - Parameter version: the oldest program that gets work; nil for any.
  func setMinimumWorkerVersion(_ version: ProgramVersion?) async throws
  /// - Parameter url: where workers are to look for the coordinator; nil: where they do.
  func setNextAddress(_ url: String?) async throws
  /// Lets the key with this hash open the dashboard as the operator, in place of the one before;
  /// nil: none does.
  func setOperatorKey(hash: Digest?) async throws
  /// Whether a key with this hash opens the dashboard as the operator.
  func isOperatorKey(hash: Digest) async throws -> Bool
  /// Leases that run now.
  func runningLeases() async throws -> Int

  /// Bans a worker or an account: no leases from now on, what it has not had verified is taken back
  /// and given to others, and the account's invitations are useless. Repeating it replaces the
  /// reason.
  ///
  /// - Parameter reason: shown to the volunteer; at most `StoreLimit.messageCharacters`.
  /// - Throws: `StoreError.notFound`; `.invalid` when the reason is too long.
  func ban(_ subject: BanSubject, reason: String, now: Timestamp) async throws
  /// False when it was not banned.
  ///
  /// - Throws: `StoreError.notFound`.
  func unban(_ subject: BanSubject) async throws -> Bool
  /// Every account and worker with what an operator wants to know of them.
  func fleet(now: Timestamp) async throws -> FleetOverview
  /// Audits that found an accepted result wrong, the latest first.
  func failedAudits(limit: Int) async throws -> [FailedAudit]

  /// A key's share of the fleet from its next unit on.
  ///
  /// - Throws: `StoreError.notFound`; `.invalid` unless it is 0.01 to 100.
  func setWeight(_ weight: Double, ofKey id: String) async throws
  /// - Throws: `StoreError.notFound`; `.invalid` for a negative limit.
  func setQuota(_ quota: Quota, ofKey id: String) async throws
  /// What a key uses of its quota now.
  func usage(ofKey id: String, now: Timestamp) async throws -> Quota.Usage
  /// Throws what the demand would meet; for refusing an upload before it is read. The demand itself
  /// is checked again.
  ///
  /// - Throws: `QuotaRefusal`.
  func checkQuota(_ demand: Quota.Demand, key: String, now: Timestamp) async throws
  /// Moves a batch before or behind the others of its key; running units go on.
  ///
  /// - Throws: `StoreError.notFound`; `.conflict` when it has ended; `.invalid` unless the priority
  ///   is -100 to 100.
  func setPriority(_ priority: Int, ofBatch id: String) async throws
}
