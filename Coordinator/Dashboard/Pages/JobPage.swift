import CoordinatorCore
import CoordinatorStore

/// One job: how far it is, why it waits, and its work units.
struct JobPage: PageContent {
  static let template = "job"
  let title: String
  let id: String
  let model: String
  let kind: String
  let pool: String
  let state: String
  let tone: String
  let percent: String
  let requests: String
  let failed: String?
  let left: String?
  let windowLeft: String?
  let created: String
  let createdAt: String
  let tokens: String
  let unitCounts: [Figure]
  let replicaCounts: [Figure]
  let reasons: [String]
  let hasReasons: Bool
  let units: [Unit]
  let hasUnits: Bool
  let more: String?

  /// A number with what it counts.
  struct Figure {
    let label: String
    let value: String
  }

  /// A line of the table of units.
  struct Unit {
    let digest: String
    let short: String
    let requests: String
    let state: String
    let tone: String
    let why: String
    let since: String
    let replicas: [Replica]
  }

  /// One attempt at a unit.
  struct Replica {
    let who: String
    /// The worker's page; nil where its owner is not named.
    let path: String?
    let state: String
    /// Per cent, while it runs. A name of its own, since a template looks for what is missing here
    /// in what surrounds it.
    let runningPercent: String?
    let detail: String?
  }

  /// Units that are shown; a large job has thousands.
  static let shownUnits = 100

  init(_ progress: BatchProgress, units all: [UnitOverview], now: Timestamp) {
    let batch = progress.batch
    title = "Job \(batch.id)"
    id = batch.id
    model =
      batch.model.map(BatchText.model) ?? (batch.state == .validating ? "not known yet" : "several")
    kind = BatchText.kind(endpoint: batch.endpoint)
    pool = batch.pool.rawValue
    state = BatchText.state(batch.state)
    tone = BatchText.tone(batch.state)
    percent =
      batch.state == .completed
      ? "100"
      : ProgressText(done: progress.flopsDone, of: progress.flopsEstimated).percent
    requests =
      "\(Spelling.count(batch.completed)) of \(Spelling.count(batch.total, "request")) answered"
    failed = batch.failed > 0 ? "\(Spelling.count(batch.failed)) failed" : nil
    left = Self.left(progress, now: now)
    windowLeft =
      batch.state.hasEnded ? nil : Spelling.duration(Double(progress.secondsLeft))
    created = Spelling.time(batch.times.created)
    createdAt = Spelling.machineTime(batch.times.created)
    tokens = Spelling.count(batch.outputTokens)
    unitCounts = [
      ("waiting or running", progress.units.open),
      ("waiting for a replay", progress.units.awaitingReplay),
      ("accepted", progress.units.accepted), ("failed", progress.units.failed),
      ("cancelled", progress.units.cancelled),
    ].filter { $0.1 > 0 || $0.0 == "accepted" }.map(Figure.init)
    replicaCounts = [
      ("running", progress.replicas.running), ("not verified yet", progress.replicas.waiting),
      ("accepted", progress.replicas.accepted), ("wrong", progress.replicas.rejected),
      ("lost or not needed", progress.replicas.lost),
    ].filter { $0.1 > 0 || $0.0 == "accepted" }.map(Figure.init)
    reasons = progress.waitReasons
    hasReasons = !reasons.isEmpty
    units = all.prefix(Self.shownUnits).map { Unit($0, now: now) }
    hasUnits = !units.isEmpty
    let hidden = progress.units.total - units.count
    more = hidden > 0 ? "\(Spelling.count(hidden, "unit")) more, ended earlier or waiting." : nil
  }

  private static func left(_ progress: BatchProgress, now: Timestamp) -> String? {
    guard progress.batch.state == .inProgress, let began = progress.batch.times.inProgress else {
      return nil
    }
    guard progress.replicas.running + progress.units.awaitingReplay > 0 else {
      return "not known while nobody works on it"
    }
    let seconds = TimeLeft.estimate(
      done: progress.flopsDone, of: progress.flopsEstimated, in: now.seconds(since: began))
    return seconds.map { "about " + Spelling.duration($0) } ?? "not known yet"
  }
}

extension JobPage.Figure {
  fileprivate init(_ label: String, _ number: Int) {
    self.init(label: label, value: Spelling.count(number))
  }
}

extension JobPage.Unit {
  fileprivate init(_ unit: UnitOverview, now: Timestamp) {
    digest = unit.digest.hex
    short = String(unit.digest.hex.prefix(12))
    requests = Spelling.count(unit.requests, "request")
    state = UnitText.state(unit)
    tone = UnitText.tone(unit)
    why = UnitText.why(unit)
    since =
      unit.endedAt.map { "ended " + Spelling.ago($0, now: now) }
      ?? "cut " + Spelling.ago(unit.createdAt, now: now)
    replicas = unit.replicas.map { JobPage.Replica($0, of: unit, now: now) }
  }
}

extension JobPage.Replica {
  fileprivate init(_ replica: UnitOverview.Replica, of unit: UnitOverview, now: Timestamp) {
    who = replica.names.map { "\($0.worker) of \($0.account)" } ?? "a worker"
    path = replica.names.map { _ in "/workers/\(replica.worker)" }
    state = UnitText.replica(replica.state)
    switch replica.state {
    case .running:
      runningPercent = ProgressText(done: replica.flopsDone, of: unit.flopsEstimated).percent
      let left = replica.deadline.seconds(since: now)
      detail = left > 0 ? "lease ends in \(Spelling.duration(left))" : "lease is over"
    default:
      runningPercent = nil
      detail = replica.seconds.map { "computed for \(Spelling.duration($0))" }
    }
  }
}

extension DashboardRoutes {
  /// `GET /jobs/{id}`.
  func job(_ visit: PageVisit) async throws -> JobPage {
    let id = try visit.pathID()
    let now = environment.now()
    return JobPage(
      try await environment.progress(ofBatch: id, key: nil),
      units: try await environment.store.units(
        of: id, for: visit.visitor.audience, limit: JobPage.shownUnits), now: now)
  }
}
