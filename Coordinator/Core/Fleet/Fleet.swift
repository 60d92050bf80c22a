import WireProtocol

/// The coordinator's decisions as one deterministic state machine: what is alive (queues, open
/// units and replicas, workers, accounts, keys, running jobs) in typed tables, and how it changes.
///
/// It knows no storage, clock, network or randomness. Each event gives an answer; what it changed
/// is taken by `takeChanges`, often of many events together, and has to be durable before any of
/// their answers leaves.
package struct Fleet: Sendable {
  package let policy: CoordinatorPolicy

  // Rows. A new table also belongs into `takeChanges` and `WorkingSet`.
  package var accounts = Table<AccountRow>()
  package var accountKeys = Table<AccountKeyRow>()
  package var teams = Table<TeamRow>()
  package var invitations = Table<InvitationRow>()
  package var workers = Table<WorkerRow>()
  package var certificates = Table<CertificateRow>()
  package var keys = Table<KeyRow>()
  package var files = Table<FileRow>()
  package var manifests = Table<ManifestRow>()
  package var models = Table<ModelRow>()
  package var batches = Table<BatchRow>()
  package var queues = Table<QueueRow>()
  package var units = Table<UnitRow>()
  package var tuningJobs = Table<TuningJobRow>()
  package var tuningRounds = Table<TuningRoundRow>()
  package var settings = Table<SettingsRow>()
  /// Requests that wait, fetched ahead of demand: a cache of the storage, which is never written.
  package var windows = Table<RequestWindow>()

  package var index = FleetIndex()

  // What is remembered outside the rows: it is lost at a restart and not undone.
  var presenceCache: PresenceCache?
  var recentRequests = RecentRequests()
  var leaseRetries = LeaseRetries()

  /// What this decision, or one before it since changes were taken, appends to histories.
  private var effects: [FleetEffect] = []
  private var journal: [any UndoEntry] = []

  /// The time of the event that is decided.
  package private(set) var now = Timestamp(milliseconds: 0)
  private(set) var draw: FleetDraw
  /// What the storage was asked for, for the event that is decided, and does not have.
  private(set) var absent: Set<Lack> = []

  package init(policy: CoordinatorPolicy) {
    self.policy = policy
    draw = FleetDraw(identifiers: Identifiers { 0 }, lots: Lots { .max })
  }
}

/// Decisions.
extension Fleet {
  /// Decides an event. When this throws, nothing has changed.
  ///
  /// - Parameters:
  ///   - now: the coordinator's time.
  ///   - draw: randomness.
  ///   - absent: what was looked for in the storage and is not there.
  /// - Throws: `Lack` for something that the storage has to give first: then the event is decided
  ///   again. Else what the event says.
  package mutating func handle<Event: FleetEvent>(
    _ event: Event, at now: Timestamp, draw: FleetDraw, absent: Set<Lack> = []
  ) throws -> Event.Answer {
    self.now = now
    self.draw = draw
    self.absent = absent
    journal.removeAll(keepingCapacity: true)
    return try attempt { try event.decide(in: &$0) }
  }

  /// The same fleet for reads, which knows what the storage does not have either.
  package func knowing(absent: Set<Lack>) -> Fleet {
    var fleet = self
    fleet.absent = absent
    return fleet
  }

  /// Does a part of a decision; when it throws, that part has changed nothing.
  mutating func attempt<Value>(_ body: (inout Fleet) throws -> Value) throws -> Value {
    let mark = journal.count
    let effectsBefore = effects.count
    do {
      return try body(&self)
    } catch {
      while journal.count > mark { journal.removeLast().undo(in: &self) }
      effects.removeLast(effects.count - effectsBefore)
      throw error
    }
  }

  /// Puts a row in the place of the one with its key.
  mutating func put<Row: FleetRow>(_ row: Row) { write(row, at: row.key) }

  mutating func remove<Row: FleetRow>(_ type: Row.Type, _ key: Row.Key) {
    write(nil as Row?, at: key)
  }

  /// Changes a row; does nothing where there is none.
  mutating func change<Row: FleetRow>(
    _ type: Row.Type, _ key: Row.Key, _ body: (inout Row) -> Void
  ) {
    guard let old = self[keyPath: Row.table][key] else { return }
    var row = old
    body(&row)
    if row != old { write(row, at: key) }
  }

  private mutating func write<Row: FleetRow>(_ row: Row?, at key: Row.Key) {
    let old = self[keyPath: Row.table].put(row, at: key, isChange: true)
    Row.reindex(&index, from: old, to: row)
    journal.append(Undo(key: key, old: old))
  }

  /// Appends to a history.
  mutating func append(_ effect: FleetEffect) { effects.append(effect) }

  /// Puts a row in its place without a trace: loading it, or letting go of it.
  package mutating func place<Row: FleetRow>(_ row: Row?, at key: Row.Key) {
    let old = self[keyPath: Row.table].put(row, at: key, isChange: false)
    Row.reindex(&index, from: old, to: row)
  }

  fileprivate mutating func restore<Row: FleetRow>(_ undo: Undo<Row>) {
    let new = self[keyPath: Row.table].put(undo.old, at: undo.key, isChange: true)
    Row.reindex(&index, from: new, to: undo.old)
  }

  /// Whether a store has anything to write.
  package var hasChanges: Bool {
    !effects.isEmpty || accounts.hasChanges || accountKeys.hasChanges || teams.hasChanges
      || invitations.hasChanges || workers.hasChanges || certificates.hasChanges
      || keys.hasChanges || files.hasChanges || manifests.hasChanges || models.hasChanges
      || batches.hasChanges || queues.hasChanges || units.hasChanges || tuningJobs.hasChanges
      || tuningRounds.hasChanges || settings.hasChanges
  }

  /// What a store has to write since this was asked for last.
  package mutating func takeChanges() -> FleetChanges {
    var changes = FleetChanges()
    changes.accounts = accounts.takeChanges()
    changes.accountKeys = accountKeys.takeChanges()
    changes.teams = teams.takeChanges()
    changes.invitations = invitations.takeChanges()
    changes.workers = workers.takeChanges()
    changes.certificates = certificates.takeChanges()
    changes.keys = keys.takeChanges()
    changes.files = files.takeChanges()
    changes.manifests = manifests.takeChanges()
    changes.models = models.takeChanges()
    changes.batches = batches.takeChanges()
    changes.queues = queues.takeChanges()
    changes.units = units.takeChanges()
    changes.tuningJobs = tuningJobs.takeChanges()
    changes.tuningRounds = tuningRounds.takeChanges()
    changes.settings = settings.takeChanges()
    _ = windows.takeChanges()
    changes.effects = effects
    effects.removeAll()
    return changes
  }
}

/// How a row was before a change.
private protocol UndoEntry: Sendable {
  func undo(in fleet: inout Fleet)
}

private struct Undo<Row: FleetRow>: UndoEntry {
  let key: Row.Key
  let old: Row?

  func undo(in fleet: inout Fleet) { fleet.restore(self) }
}
