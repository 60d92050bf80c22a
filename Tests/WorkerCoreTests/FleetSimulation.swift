import TestSupport
import WireProtocol
import WorkerCore

/// One worker's life cycle over a simulated network and disk against a coordinator that keeps
/// count, in simulated time: the coordinator goes away, answers get lost, the worker is killed and
/// started again.
struct FleetSimulation {
  enum Event {
    /// A request reaches the coordinator; the answer goes back by `fate`.
    case arrive(WorkerAction, SimulatedNetwork.Fate, life: Int)
    /// Something happens to the worker in its `life`-th life.
    case tell(WorkerEvent, life: Int)
    case kill
  }

  var worker: WorkerLifecycle
  var life = 0
  var disk = SimulatedDisk()
  /// Held units; their progress is kept every ten seconds.
  var units = HeldUnits()
  var network: SimulatedNetwork
  var queue = EventQueue<Event>()
  var random: SeededRandom
  var now = Duration.zero
  /// What the coordinator knows: units given out, and how often each one's result was counted.
  var leased: [String] = []
  var counted: [String: Int] = [:]
  var finished: Set<String> = []
  /// How often a timer was left behind the present.
  var overdueTimers = 0
  let unitCount: Int
  /// When the coordinator turns everybody away, and with which words.
  var turningAway: [(during: Range<Duration>, failure: RequestFailure)] = []
  var certificateSeconds = 30 * 86400
  /// Certificates that were renewed.
  var renewals = 0

  init(seed: UInt64, units: Int, network: SimulatedNetwork, kills: [Duration]) {
    unitCount = units
    self.network = network
    random = SeededRandom(seed: seed)
    var settings = LifecycleSettings()
    settings.maximumUnits = Int.random(in: 1...3, using: &random)
    worker = WorkerLifecycle(settings: settings, seed: seed)
    for kill in kills { queue.add(.kill, at: kill) }
  }

  /// Runs until `end` or until every unit's result is counted or its lease lost with a killed
  /// worker.
  mutating func run(until end: Duration) {
    start()
    while now < end {
      let timer = worker.nextTimer.map { max(now, $0.sinceOrigin) }
      if let timer, queue.nextTime.map({ timer < $0 }) ?? true {
        now = timer
        handle(.timer)
        continue
      }
      guard let (at, event) = queue.next() else { return }
      now = at
      take(event)
    }
  }

  private mutating func start() {
    let results = disk.names.map { StoredResult(lease: $0, finishedAt: Moment(now)) }
    handle(.started(certificate: term, results: results, units: units.stored))
  }

  /// Of a certificate that is issued now.
  private var term: CertificateTerm {
    CertificateTerm(startedAt: Moment(now), endsAt: Moment(now + .seconds(certificateSeconds)))
  }

  private mutating func handle(_ event: WorkerEvent) {
    perform(worker.handle(event, at: Moment(now)))
    units.drop(allBut: worker.heldLeases, leavesTraces: random.chance(0.2))
    // A timer that is due and starts nothing would spin.
    if let timer = worker.nextTimer, timer <= Moment(now) { overdueTimers += 1 }
  }

  private mutating func take(_ event: Event) {
    switch event {
    case .tell(let event, let life):
      guard life == self.life else { return }
      if case .unitFinished(let lease) = event {
        disk.write(lease, [1])
        disk.synchronize(lease)
        finished.insert(lease)
      }
      handle(event)
    case .arrive(let action, let fate, let life):
      let answer = coordinatorAnswers(action)
      if case .delivered(_, let delay) = fate {
        queue.add(.tell(answer, life: life), at: now + delay)
      }
    case .kill:
      disk.crash()
      units.crash(at: now)
      life += 1
      worker = WorkerLifecycle(settings: LifecycleSettings(), seed: random.next())
      start()
    }
  }

  private mutating func perform(_ actions: [WorkerAction]) {
    for action in actions {
      switch action {
      case .fetch(let lease):
        units.remember(lease)
        let milliseconds = Int.random(in: 1...500, using: &random)
        let event: WorkerEvent =
          random.chance(0.2)
          ? .fetchFailed(lease: lease.id, .request(.down)) : .blobsReady(lease: lease.id)
        tell(event, after: .milliseconds(milliseconds))
      case .run(let lease):
        let seconds = Int.random(in: 1...90, using: &random)
        tell(.unitFinished(lease: lease.id), after: units.start(lease, seconds: seconds, at: now))
      case .discardResult(let lease, _):
        disk.remove(lease)
        if random.chance(0.5) { disk.synchronize(lease) }
      case .cancelRun(let lease):
        tell(.unitCancelled(lease: lease), after: .milliseconds(10))
      case .cancelFetch, .stop, .enrol, .move: break
      case .abandon(let lease, _, _):
        units.givenUp.insert(lease)
        send(action)
      case .requestLease, .heartbeat, .upload, .renewCertificate: send(action)
      }
    }
  }

  private mutating func tell(_ event: WorkerEvent, after delay: Duration) {
    queue.add(.tell(event, life: life), at: now + delay)
  }

  private mutating func send(_ action: WorkerAction) {
    let fate = network.fate(at: now)
    switch fate {
    case .delivered(let request, _):
      queue.add(.arrive(action, fate, life: life), at: now + request)
    case .answerLost(let request, let noticed):
      queue.add(.arrive(action, fate, life: life), at: now + request)
      tell(Self.failure(of: action), after: noticed)
    case .requestLost(let noticed):
      tell(Self.failure(of: action), after: noticed)
    }
  }

  private mutating func coordinatorAnswers(_ action: WorkerAction) -> WorkerEvent {
    if let away = turningAway.first(where: { $0.during.contains(now) }) {
      return Self.failure(of: action, away.failure)
    }
    switch action {
    case .requestLease(let maximum):
      let wanted = min(Int.random(in: 0...maximum, using: &random), unitCount - leased.count)
      guard wanted > 0 else { return .leaseAnswered(.nothing) }
      let leases = (0..<wanted).map { lease(leased.count + $0) }
      leased += leases.map(\.id)
      return .leaseAnswered(.units(leases))
    case .heartbeat(let lease):
      let isWanted = counted[lease] == nil
      return .heartbeatAnswered(
        lease: lease,
        HeartbeatResponse(verdict: isWanted ? .proceed : .abandon, deadlineSeconds: 60))
    case .upload(let lease):
      // Accepted once, whatever is retried.
      if counted[lease] == nil { counted[lease] = 1 }
      return .uploadAnswered(lease: lease, .taken)
    case .abandon(let lease, _, _): return .abandonmentEnded(lease: lease)
    default:
      renewals += 1
      return .renewed(term)
    }
  }

  private static func failure(
    of action: WorkerAction, _ failure: RequestFailure = .down
  ) -> WorkerEvent {
    switch action {
    case .requestLease: .leaseFailed(failure)
    case .heartbeat(let lease): .heartbeatFailed(lease: lease, failure)
    case .upload(let lease): .uploadFailed(lease: lease, failure)
    case .abandon(let lease, _, _): .abandonmentEnded(lease: lease)
    default: .renewalFailed(failure)
    }
  }
}
