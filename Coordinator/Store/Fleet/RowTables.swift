import CoordinatorCore
import WireProtocol

/// Rows by key, as groups of changes leave them.
struct RowTables: Sendable {
  private var accounts: [String: AccountRow] = [:]
  private var accountKeys: [Int64: AccountKeyRow] = [:]
  private var teams: [Int: TeamRow] = [:]
  private var invitations: [String: InvitationRow] = [:]
  private var workers: [String: WorkerRow] = [:]
  private var certificates: [Digest: CertificateRow] = [:]
  private var keys: [String: KeyRow] = [:]
  private var files: [Int64: FileRow] = [:]
  private var manifests: [Digest: ManifestRow] = [:]
  private var models: [String: ModelRow] = [:]
  private(set) var batches: [Int64: BatchRow] = [:]
  private(set) var queues: [Int64: QueueRow] = [:]
  private(set) var units: [Int64: UnitRow] = [:]
  private(set) var tuningJobs: [Int64: TuningJobRow] = [:]
  private(set) var tuningRounds: [TuningRoundRow.Key: TuningRoundRow] = [:]
  private var settings: [Int: SettingsRow] = [:]

  mutating func apply(_ changes: FleetChanges) {
    Self.apply(changes.accounts, to: &accounts)
    Self.apply(changes.accountKeys, to: &accountKeys)
    Self.apply(changes.teams, to: &teams)
    Self.apply(changes.invitations, to: &invitations)
    Self.apply(changes.workers, to: &workers)
    Self.apply(changes.certificates, to: &certificates)
    Self.apply(changes.keys, to: &keys)
    Self.apply(changes.files, to: &files)
    Self.apply(changes.manifests, to: &manifests)
    Self.apply(changes.models, to: &models)
    Self.apply(changes.batches, to: &batches)
    Self.apply(changes.queues, to: &queues)
    Self.apply(changes.units, to: &units)
    Self.apply(changes.tuningJobs, to: &tuningJobs)
    Self.apply(changes.tuningRounds, to: &tuningRounds)
    Self.apply(changes.settings, to: &settings)
  }

  private static func apply<Row: FleetRow>(
    _ changes: RowChanges<Row>, to rows: inout [Row.Key: Row]
  ) {
    for row in changes.upserts { rows[row.key] = row }
    for key in changes.deletions { rows[key] = nil }
  }

  func workingSet() -> WorkingSet {
    var set = WorkingSet()
    set.accounts = Self.sorted(accounts)
    set.accountKeys = Self.sorted(accountKeys)
    set.teams = Self.sorted(teams)
    set.invitations = Self.sorted(invitations)
    set.workers = Self.sorted(workers)
    set.certificates = Self.sorted(certificates)
    set.keys = Self.sorted(keys)
    set.files = Self.sorted(files)
    set.manifests = Self.sorted(manifests)
    set.models = Self.sorted(models)
    set.batches = Self.sorted(batches)
    set.queues = Self.sorted(queues)
    let openJobs = tuningJobs.filter { !$0.value.record.state.hasEnded }
    set.units = Self.sorted(units).filter { unit in
      !unit.unit.state.hasEnded || unit.audit == .due
        || unit.tuning.map { openJobs[$0.job] != nil } == true
    }
    set.tuningJobs = Self.sorted(tuningJobs)
    set.tuningRounds = Self.sorted(tuningRounds)
    set.settings = settings[0]
    return set
  }

  private static func sorted<Row: FleetRow>(_ rows: [Row.Key: Row]) -> [Row] {
    rows.values.sorted { $0.key < $1.key }
  }
}
