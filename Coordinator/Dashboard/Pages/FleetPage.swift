import CoordinatorCore
import CoordinatorStore

/// The fleet as it is now.
struct FleetPage: PageContent {
  static let template = "fleet"
  let title = "Fleet"
  let asOf: String
  let asOfTime: String
  let state: String?
  let summary: String
  let figures: [PageFigure]
  let reasons: [String]
  let hasReasons: Bool
  /// Tokens of the last 30 days, as HTML.
  let chart: String
  let workers: [Worker]
  let hasWorkers: Bool
  let others: String?

  /// A line of the table of workers.
  struct Worker {
    let path: String
    let name: String
    let account: String
    let seen: String
    let isIdle: Bool
    let running: [Running]
  }

  /// What a worker computes.
  struct Running {
    let path: String
    let model: String
    let percent: String
    let since: String
  }

  /// Workers that are listed at most.
  static let shownWorkers = 100

  /// Days that the chart shows.
  static let chartDays = 30

  /// - Parameter history: of everyone over the chart's days.
  init(
    _ fleet: FleetNow, history: [DayContribution], administration: Administration, now: Timestamp
  ) {
    let day = Day(containing: now)
    let today = history.last { $0.day == day }
    asOf = Spelling.time(now)
    asOfTime = Spelling.machineTime(now)
    state =
      switch administration.leasing {
      case .open: nil
      case .paused: "The operator has paused the fleet: no work is given out."
      case .draining: "The fleet is being drained: what runs is finished, nothing new is given out."
      }
    summary = Self.summary(fleet)
    figures = Self.figures(fleet, today: today)
    reasons = Self.reasons(fleet)
    hasReasons = !reasons.isEmpty
    chart =
      DailyChart(
        id: "fleet-tokens", title: "Tokens generated", unit: "tokens", history: history,
        from: day.adding(days: 1 - Self.chartDays), to: day, value: { Double($0.tokens) }
      ).markup
    workers = fleet.listedWorkers.map { Worker($0, now: now) }
    hasWorkers = !workers.isEmpty
    let unnamed = fleet.activeWorkers - workers.count
    others =
      unnamed > 0
      ? "\(hasWorkers ? "And " : "")\(Spelling.count(unnamed, "active worker")) of accounts that "
        + "are not named."
      : nil
  }

  private static func summary(_ fleet: FleetNow) -> String {
    guard fleet.activeWorkers > 0 else {
      return "No worker is active. \(Spelling.count(fleet.workers, "worker")) of "
        + "\(Spelling.count(fleet.accounts, "account")) joined so far."
    }
    let workers = Spelling.count(fleet.activeWorkers, "worker")
    let accounts = Spelling.count(fleet.activeAccounts, "account")
    let verb = fleet.activeWorkers == 1 ? "is" : "are"
    return "\(workers) of \(accounts) \(verb) active, and "
      + "\(Spelling.count(fleet.computingWorkers)) of them "
      + "compute\(fleet.computingWorkers == 1 ? "s" : "") now."
  }

  private static func figures(_ fleet: FleetNow, today: DayContribution?) -> [PageFigure] {
    var figures = [
      PageFigure(
        label: "Active workers", value: Spelling.count(fleet.activeWorkers),
        note: "of \(Spelling.count(fleet.workers)) that joined"),
      PageFigure(
        label: "Computing now", value: Spelling.count(fleet.computingWorkers),
        note: "\(Spelling.speed(fleet.flopsPerSecond)), as their units showed"),
      PageFigure(
        label: "Replicas running", value: Spelling.count(fleet.runningReplicas),
        note: "\(Spelling.count(fleet.missingReplicas)) more are wanted"),
      PageFigure(
        label: "Jobs under way", value: Spelling.count(fleet.openJobs),
        note:
          "\(Spelling.count(fleet.waitingRequests, "request")) "
          + "wait\(fleet.waitingRequests == 1 ? "s" : "")"),
      PageFigure(
        label: "Tokens today", value: Spelling.amount(Double(today?.tokens ?? 0)),
        note: "\(Spelling.amount(Double(fleet.tokens))) in all"),
      PageFigure(
        label: "Verified results today", value: Spelling.count(today?.accepted ?? 0),
        note: "\(Spelling.count(fleet.acceptedResults)) in all"),
      PageFigure(
        label: "Credit today", value: Spelling.amount(today?.credit.value ?? 0),
        note: "\(Spelling.amount(fleet.credit.value)) in all"),
    ]
    if let today, today.energy.joules > 0 {
      figures.append(
        PageFigure(
          label: "Energy today", value: Spelling.energy(today.energy.joules),
          note: ContributionText.energyNote(
            today.energy.joules, estimated: today.energy.estimatedJoules)))
    }
    return figures
  }

  /// Why work waits though workers are there, or the other way round.
  private static func reasons(_ fleet: FleetNow) -> [String] {
    let waits = fleet.waitingRequests + fleet.missingReplicas > 0
    if waits, fleet.activeWorkers == 0 {
      return ["Work waits, and no worker is active: an invitation brings one (tally invite)."]
    }
    if waits, fleet.activeAccounts == 1, fleet.missingReplicas > 0 {
      return [
        "Only one account is active. Results of the public pool count once a second account has "
          + "confirmed them."
      ]
    }
    if !waits, fleet.runningReplicas == 0, fleet.activeWorkers > 0 {
      return ["The workers are idle because no job waits."]
    }
    return []
  }
}

extension FleetPage.Worker {
  fileprivate init(_ worker: FleetNow.Worker, now: Timestamp) {
    path = "/workers/\(worker.id)"
    name = worker.name
    account = worker.accountName
    seen = Spelling.ago(worker.lastSeen, now: now)
    isIdle = worker.running.isEmpty
    running = worker.running.map { FleetPage.Running($0, now: now) }
  }
}

extension FleetPage.Running {
  fileprivate init(_ replica: RunningReplica, now: Timestamp) {
    path = JobPath.of(replica.job)
    model = replica.model.map(BatchText.model) ?? "several models"
    percent = ProgressText(done: replica.flopsDone, of: replica.flopsEstimated).percent
    since = "for " + Spelling.duration(now.seconds(since: replica.issuedAt))
  }
}

extension DashboardRoutes {
  /// `GET /`.
  func fleet(_ visit: PageVisit) async throws -> FleetPage {
    let now = environment.now()
    let today = Day(containing: now)
    return FleetPage(
      try await environment.store.fleetNow(
        for: visit.visitor.audience, listedWorkers: FleetPage.shownWorkers, now: now),
      history: try await environment.store.history(
        of: .everyone, from: today.adding(days: 1 - FleetPage.chartDays), through: today),
      administration: try await environment.store.administration(), now: now)
  }
}
