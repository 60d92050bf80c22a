import AsyncHTTPClient
import Foundation
import Logging
import WireProtocol
import WorkerCore
import WorkerEngine

/// Performs what the life cycle decides: the thin shell around `WorkerLifecycle`. Everything that
/// happens comes in as an event of one stream, is handled in turn, and its actions are started,
/// never waited for.
actor WorkerLoop {
  /// What the loop works with.
  struct Equipment: Sendable {
    let configuration: WorkerConfiguration
    let folder: WorkerFolder
    let key: any WorkerKey
    let http: HTTPClient
    let cache: BlobCache
    let traffic: TrafficMeter
    let energy: EnergyRecorder
    let results: ResultStore
    let checkpoints: CheckpointStore
    let runner: any UnitRunning
    let clock: WorkerClock
    let logger: Logger
    /// What the owner allows now.
    let allowance: @Sendable () -> Allowance?
    let machine: MachineFacts
    let observer: @Sendable (WorkerReport) -> Void
  }

  let equipment: Equipment
  let tell: AsyncStream<WorkerEvent>.Continuation
  private let events: AsyncStream<WorkerEvent>
  private var lifecycle: WorkerLifecycle
  private var timer: (at: Moment, task: Task<Void, Never>)?
  private var stopReason: StopReason?
  var membership: Membership?
  /// When the membership came, if in this run.
  var receivedAt: Moment?
  /// The results that were there at the start, and when they were finished by the calendar.
  private var found: [(lease: String, finishedAt: Int)] = []
  var client: CoordinatorClient?
  var prepared: [String: PreparedUnit] = [:]
  var fetches: [String: Task<Void, Never>] = [:]
  var running: [String: UnitSignals] = [:]
  /// The units with a checkpoint.
  var checkpointed: [String: Lease] = [:]
  /// The chunks of manifests that were read.
  var knownChunks: [Digest: [Digest]] = [:]
  var tallies = Tallies()
  /// Which work the owner chose.
  var choices: WorkChoices
  /// What the coordinator's operator said last.
  var operatorMessage: String?
  /// What limits the cache, as the last lease request found it.
  var cacheSetting: String?
  /// Names this process for the coordinator.
  let runName = String(UInt64.random(in: .min ... .max), radix: 36)
  private var reportedAt: Moment?
  private var standingSchedule = StandingSchedule()
  var standing: StandingNote?

  /// Counts since the start.
  struct Tallies: Sendable {
    var unitsDone = 0
    var tokensDone = 0
    /// Sequences of finished units that an interrupted run had finished.
    var sequencesResumed = 0
    /// A moving average that gives the newest unit a third.
    var flopsPerSecond: Double?

    mutating func add(tokens: Int, flops: Double, seconds: Double) {
      tokensDone += tokens
      guard seconds > 0, flops > 0 else { return }
      let speed = flops / seconds
      flopsPerSecond = flopsPerSecond.map { $0 + (speed - $0) / 3 } ?? speed
    }
  }

  init(
    _ equipment: Equipment, settings: LifecycleSettings, choices: WorkChoices, seed: UInt64,
    inbox: WorkerDaemon.Inbox
  ) {
    self.equipment = equipment
    self.choices = choices
    lifecycle = WorkerLifecycle(settings: settings, choices: choices, seed: seed)
    events = inbox.events
    tell = inbox.tell
  }

  /// Runs until the life cycle stops; returns why.
  func run() async throws -> StopReason {
    if let member = try Membership(in: equipment.folder) { try become(member) }
    found = try equipment.results.list()
    let results = foundResults
    let units = try equipment.checkpoints.list()
    standing = StandingFile(in: equipment.folder).load()
    await withDiscardingTaskGroup { group in
      if let allowance = equipment.allowance() {
        take(.computingAllowed(allowance.computes), &group)
        take(.transferAllowed(allowance.network.transfers), &group)
      }
      // From here on the life cycle knows of them, and what it does not hold goes.
      for unit in units { checkpointed[unit.lease.id] = unit.lease }
      take(.started(certificate: term, results: results, units: units), &group)
      take(.addressAnnounced(nextAddress ?? membership?.record.nextURL), &group)
      group.addTask { await self.readCalendar() }
      // A cancelled task leaves the loop here.
      for await event in events where stopReason == nil {
        take(event, &group)
        if stopReason != nil { break }
      }
      timer?.task.cancel()
      for signals in running.values { signals.cancel() }
      group.cancelAll()
    }
    return stopReason ?? .drained
  }

  private func take(_ event: WorkerEvent, _ group: inout DiscardingTaskGroup) {
    log(event)
    if case .chosen(let choices) = event { self.choices = choices }
    let actions = lifecycle.handle(event, at: equipment.clock.now())
    for action in actions {
      if case .stop(let reason) = action { stopReason = reason }
      if let work = perform(action) { group.addTask(operation: work) }
    }
    if standingSchedule.isDue(after: event, at: equipment.clock.now()) {
      group.addTask { await self.askStanding() }
    }
    dropUnheld()
    setTimer()
    report()
  }

  /// Lets go of what belonged to leases that the life cycle holds no more.
  private func dropUnheld() {
    let held = Set(lifecycle.heldLeases)
    for (id, lease) in checkpointed where !held.contains(id) && running[id] == nil {
      checkpointed[id] = nil
      forget(lease)
    }
    for (id, unit) in prepared where !held.contains(id) && running[id] == nil {
      prepared[id] = nil
      let cache = equipment.cache
      Task {
        await cache.release(unit.blobs)
        if let packed = unit.packed { await cache.releasePacked(packed.model) }
        // Inputs serve one unit, and no unit comes twice to a worker.
        await cache.discard(unit.lease.specification.inputs)
      }
    }
  }

  private func setTimer() {
    let next = lifecycle.nextTimer
    guard next != timer?.at else { return }
    timer?.task.cancel()
    timer = next.map { at in
      let (clock, tell) = (equipment.clock, tell)
      return (
        at,
        Task {
          if (try? await clock.sleep(at)) != nil { tell.yield(.timer) }
        }
      )
    }
  }

  // MARK: Membership

  /// Takes up a membership.
  func become(_ member: Membership) throws {
    client = try CoordinatorClient(http: equipment.http, member, key: equipment.key)
    membership = member
  }

  /// When the present certificate is to be renewed: by this process's own clock where the
  /// coordinator said for how long it is valid, else by the calendar as it reads now.
  var term: CertificateTerm? {
    guard let record = membership?.record else { return nil }
    let byCalendar = equipment.clock.moment(unixSeconds: record.renewAt)
    guard let receivedAt else { return CertificateTerm(renewAt: byCalendar) }
    if let seconds = record.validSeconds {
      // No answer makes the worker ask without a pause.
      let life = Duration.seconds(max(3, min(seconds, 1 << 40)))
      return CertificateTerm(startedAt: receivedAt, endsAt: receivedAt + life)
    }
    let hasEnded = record.notAfter <= equipment.clock.unixSeconds()
    return CertificateTerm(
      renewAt: hasEnded ? max(byCalendar, receivedAt + .seconds(3600)) : byCalendar)
  }

  /// The address of the invitation, where the membership did not follow it yet.
  var nextAddress: String? {
    guard let member = membership, let invitation = equipment.configuration.invitation else {
      return nil
    }
    let url = CoordinatorClient.spelled(invitation.url)
    return [member.record.url, member.record.invitedURL].contains(url) ? nil : url
  }

  /// The results that were there at the start, with their ages by the calendar as it reads now.
  private var foundResults: [StoredResult] {
    found.map {
      StoredResult(
        lease: $0.lease, finishedAt: equipment.clock.moment(unixSeconds: $0.finishedAt))
    }
  }

  /// Looks at the calendar each minute: it may have been set.
  private func readCalendar() async {
    while true {
      let next = equipment.clock.now() + .seconds(60)
      guard (try? await equipment.clock.sleep(next)) != nil else { return }
      tell.yield(.calendarRead(term, results: foundResults))
    }
  }

  // MARK: Reports

  /// Returns: whoever waits for it knows that the loop is not stuck.
  func answer() {}

  /// Tells the observer how things stand, at most every half second while only progress changes.
  func reportProgress() {
    let now = equipment.clock.now()
    if let reportedAt, reportedAt.duration(to: now) < .milliseconds(500) { return }
    report()
  }

  /// Tells the observer how things stand.
  func report() {
    let now = equipment.clock.now()
    reportedAt = now
    let (activity, failing) = (lifecycle.activity, lifecycle.failing)
    let unit = running.first.flatMap { id, signals in
      prepared[id].map { unit in
        let lease = unit.lease
        let share = lease.estimatedFlops > 0 ? signals.flopsDone / lease.estimatedFlops : 0
        return WorkerReport.Unit(lease: id, unit: lease.unit, share: max(0, min(1, share)),
          tokensPerSecond: signals.tokensPerSecond(at: now),
          deadline: lifecycle.deadline(ofLease: id))
      }
    }
    equipment.observer(
      WorkerReport(
        activity: activity,
        summary: activity.summary(at: now, cacheSetting: cacheSetting, failing: failing),
        workerID: membership?.record.workerID, accountName: membership?.record.accountName,
        unit: unit, unitsDone: tallies.unitsDone, tokensDone: tallies.tokensDone,
        sequencesResumed: tallies.sequencesResumed, waitingResults: lifecycle.waitingResults,
        flopsPerSecond: tallies.flopsPerSecond, standing: standing, message: operatorMessage,
        coordinatorProblem: lifecycle.turningAway.map { Self.words($0, at: now) }
          ?? failing.first.map { $0.sentence(at: now) },
        unitProblem: lifecycle.unitFailure.map {
          "the last unit failed here: \(ForeignText.line($0) ?? "")"
        }))
  }

  private static func words(_ turningAway: TurningAway, at now: Moment) -> String {
    let again = turningAway.until.map { "; asking again in \(WorkerActivity.wait($0, at: now))" }
    let words = ForeignText.line("\(turningAway.failure)") ?? ""
    return "the coordinator turns this worker away: \(words)" + (again ?? "")
  }

  /// What a unit may take now, by the configuration and the owner's preferences.
  var unitLimits: (threads: Int, memoryBytes: Int) {
    let (configuration, allowance) = (equipment.configuration, equipment.allowance())
    return (
      min(configuration.threads, allowance?.threads ?? .max),
      min(configuration.memoryLimitBytes, allowance?.memoryBytes ?? .max)
    )
  }
}
