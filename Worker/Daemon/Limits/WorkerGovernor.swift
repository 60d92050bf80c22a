import Foundation
import Logging
import MachineLimits
import WireProtocol
import WorkerCore
import WorkerEngine

/// Looks around once a second and holds the worker to what its owner allows: the shell around
/// `Governor`. Preferences that cannot be read leave the former ones in force.
actor WorkerGovernor {
  /// What holds, for whoever wants to see or change it.
  struct State: Sendable {
    var allowance: Allowance
    var preferences: WorkerPreferences
    var order: Governor.Order
    /// Blobs and results transferred in this month, in bytes.
    var transferredBytes: Int
    /// Which work the owner chose.
    var choices: WorkChoices
    /// Why what a file says is not in force.
    var problem: String?
    /// How much of the machine the worker may use, whatever its owner says.
    var machine: MachineLimits
    /// The weight of the worker's control group.
    var group: ControlGroup
  }

  private var governor: Governor
  private var sensors: MachineSensors
  private var group: ControlGroup
  private let file: PreferencesFile
  private let choicesFile: ChoicesFile
  private let pauseFile: PauseFile
  /// The end of a pause of an earlier run, in seconds since 1970: looked at again each time, since
  /// the calendar may be set.
  private var storedPauseEnd: Int?
  private let runner: any UnitRunning
  private let traffic: TrafficMeter
  private let energy: EnergyRecorder
  private let cache: BlobCache
  private let clock: WorkerClock
  private let logger: Logger
  private let startedMemoryBytes: Int
  private let changed: @Sendable (Allowance) -> Void
  private let chose: @Sendable (WorkChoices) -> Void
  private let exceeded: @Sendable (_ usedBytes: Int, _ limitBytes: Int) -> Void
  private var isAboveMemory = false
  private let logins: LoginSessions
  private let hasUnit: @Sendable () -> Bool
  private var isAsking = false
  private var askAt: Moment?
  private var version: FileVersion?
  private var problem: String?
  private var choices: WorkChoices
  private var choicesVersion: FileVersion?
  private var choicesProblem: String?
  private var last: Allowance?
  private var month = CalendarMonth(year: 1970, month: 1)

  private static let interval = Duration.seconds(1)
  /// How often the login manager is asked, with a unit and without: each time is a process.
  private static let askIntervals = (working: Duration.seconds(2), idle: Duration.seconds(30))

  /// - Parameters:
  ///   - seed: of the time of calm that is this worker's own.
  ///   - isAlways: start with the order to compute whatever else happens.
  ///   - hasUnit: whether the worker has something to compute.
  ///   - memoryBytes: the limit that the worker was started with.
  ///   - changed: told what holds at first and when it changes.
  ///   - chose: told which work the owner chose when that changes.
  ///   - exceeded: told when this process begins to take more memory than is allowed.
  /// - Throws: `FileError` for preferences or choices that cannot be read: a worker does not start
  ///   without the limits that its owner set.
  init(
    folder: WorkerFolder, sensors: MachineSensors, runner: any UnitRunning,
    traffic: TrafficMeter, energy: EnergyRecorder, cache: BlobCache, clock: WorkerClock,
    seed: UInt64, isAlways: Bool, memoryBytes: Int, hasUnit: @escaping @Sendable () -> Bool,
    logger: Logger,
    changed: @escaping @Sendable (Allowance) -> Void,
    chose: @escaping @Sendable (WorkChoices) -> Void,
    exceeded: @escaping @Sendable (_ usedBytes: Int, _ limitBytes: Int) -> Void
  ) throws {
    file = PreferencesFile(in: folder)
    pauseFile = PauseFile(in: folder)
    version = file.version
    choicesFile = ChoicesFile(in: folder)
    choicesVersion = choicesFile.version
    choices = try choicesFile.load()
    governor = Governor(
      preferences: try file.load(), calm: Governor.calm + .milliseconds(Int(seed % 3000)))
    let stored = try pauseFile.load()
    storedPauseEnd = stored?.until
    if let stored {
      governor.order = .pause(until: stored.until.map { clock.moment(unixSeconds: $0) })
    } else if isAlways {
      governor.order = .always
    }
    self.sensors = sensors
    logins = LoginSessions(root: sensors.root)
    group = ControlGroup(root: sensors.root)
    self.hasUnit = hasUnit
    self.runner = runner
    self.traffic = traffic
    self.energy = energy
    self.cache = cache
    self.clock = clock
    self.logger = logger
    startedMemoryBytes = memoryBytes
    self.changed = changed
    self.chose = chose
    self.exceeded = exceeded
  }

  /// Until its task is cancelled.
  func run() async {
    while !Task.isCancelled {
      askLogins()
      look()
      energy.tick(wattsPerCore: governor.preferences.wattsPerCore)
      if let last { await cache.hold(to: last.disk) }
      if (try? await clock.sleep(clock.now() + Self.interval)) == nil { return }
    }
  }

  /// Pauses, resumes, or computes whatever else happens; holds at once and, a pause, over restarts.
  ///
  /// - Throws: `FileError`.
  func give(_ order: Governor.Order) throws {
    try pauseFile.save(order, clock)
    storedPauseEnd = nil
    governor.order = order
    logger.info("owner's order", metadata: ["order": "\(order)"])
    look()
  }

  /// Replaces the preferences, in force and in the file.
  ///
  /// - Throws: `PreferenceError`, `FileError`.
  func replace(_ preferences: WorkerPreferences) async throws {
    try preferences.check()
    try file.save(preferences)
    look()
    if let last { await cache.hold(to: last.disk) }
  }

  /// What holds now.
  var state: State {
    if last == nil { look() }
    return State(
      allowance: last ?? Allowance(pauses: [], cpuShare: 1, threads: nil, memoryBytes: 0),
      preferences: governor.preferences, order: governor.order,
      transferredBytes: traffic.bytes(in: month), choices: choices,
      problem: problem ?? choicesProblem, machine: sensors.limits, group: group)
  }

  private func look() {
    takeUpPreferences()
    takeUpChoices()
    group.hold(to: governor.preferences.cgroupWeight)
    lookAtPause()
    let date = Date(timeIntervalSince1970: Double(clock.unixSeconds()))
    var around = sensors.sample(at: date)
    month = around.month
    around.transferredBytes = traffic.bytes(in: month)
    let allowance = governor.decide(around, at: clock.now())
    traffic.hold(to: allowance.network, month: month)
    holdMemory(around.ownMemoryBytes, to: min(startedMemoryBytes, allowance.memoryBytes))
    guard allowance != last else { return }
    if allowance.network.transfers != (last?.network.transfers ?? true) {
      let isAllowed = allowance.network.transfers
      let reasons = allowance.network.pauses.map { $0.words(at: clock.now()) }
      logger.info(
        "transfers \(isAllowed ? "allowed" : "paused")",
        metadata: ["reasons": "\(reasons.joined(separator: "; "))"])
    }
    if allowance.computes != last?.computes {
      let reasons = allowance.pauses.map { $0.words(at: clock.now()) }.joined(separator: "; ")
      logger.info(
        "computing \(allowance.computes ? "allowed" : "paused")",
        metadata: ["reasons": "\(reasons)"])
    }
    last = allowance
    runner.limit(
      ComputeLimit(
        share: allowance.computes ? allowance.cpuShare : 0, threads: allowance.threads))
    changed(allowance)
  }

  /// The end of a stored pause by the calendar as it reads now. Whole seconds make no difference:
  /// the two clocks do not tick together.
  private func lookAtPause() {
    guard let storedPauseEnd, case .pause(let until?) = governor.order else { return }
    let end = clock.moment(unixSeconds: storedPauseEnd)
    if abs(until.duration(to: end).inSeconds) > 2 { governor.order = .pause(until: end) }
  }

  /// Asks who is at the machine, if it is time; a login manager that hangs holds up nothing.
  private func askLogins() {
    let now = clock.now()
    guard !isAsking, askAt.map({ $0 <= now }) ?? true, logins.hasSeats else { return }
    isAsking = true
    askAt = now + (hasUnit() ? Self.askIntervals.working : Self.askIntervals.idle)
    Task {
      let answer = await logins.ask()
      sensors.take(
        sessions: answer, at: Date(timeIntervalSince1970: Double(clock.unixSeconds())))
      isAsking = false
    }
  }

  /// What is above the limit goes: a model that waits for the next unit, and the unit itself.
  private func holdMemory(_ used: Int?, to limit: Int) {
    let isAbove = used.map { $0 > limit } ?? false
    if isAbove { runner.releaseMemory() }
    if let used, isAbove, !isAboveMemory { exceeded(used, limit) }
    isAboveMemory = isAbove
  }

  private func takeUpPreferences() {
    let present = file.version
    guard present != version else { return }
    version = present
    do {
      governor.preferences = try file.load()
      problem = nil
      logger.info("preferences taken up")
    } catch {
      problem = "\(error)"
      logger.warning("preferences not taken up", metadata: ["error": "\(error)"])
    }
  }

  private func takeUpChoices() {
    let present = choicesFile.version
    guard present != choicesVersion else { return }
    choicesVersion = present
    do {
      choices = try choicesFile.load()
      choicesProblem = nil
      chose(choices)
      logger.info("choices taken up")
    } catch {
      choicesProblem = "\(error)"
      logger.warning("choices not taken up", metadata: ["error": "\(error)"])
    }
  }
}

/// Remembers over restarts that the owner paused the worker, and until when by the calendar.
private struct PauseFile: Sendable {
  struct Content: Codable {
    /// Seconds since 1970; missing: until further notice.
    var until: Int?
  }

  let path: String

  init(in folder: WorkerFolder) { path = folder.path + "/paused.json" }

  /// Nil where there is no pause. What cannot be understood is one: nobody else writes the file.
  func load() throws -> Content? {
    guard let data = try DurableFile.read(path, limitBytes: 1 << 12) else { return nil }
    return (try? JSONDecoder().decode(Content.self, from: data)) ?? Content()
  }

  func save(_ order: Governor.Order, _ clock: WorkerClock) throws {
    guard case .pause(let until) = order else {
      if DurableFile.size(path) != nil { try DurableFile.remove(path) }
      return
    }
    let seconds = until.map { clock.now().duration(to: $0).inSeconds.rounded(.up) }
    let content = Content(until: seconds.map { clock.unixSeconds() + Int($0) })
    try DurableFile.write([JSONEncoder().encode(content)], to: path)
  }
}
