/// Decides from the owner's preferences and the machine's surroundings what a worker may do.
///
/// What comes and goes from second to second, load and temperature, must be gone for a while before
/// it counts as gone: else a worker beside a compiler would start and stop with every file.
package struct Governor: Sendable {
  /// The owner's word, which goes before everything else.
  package enum Order: Hashable, Sendable {
    /// As the preferences say.
    case none
    /// Whatever hours, battery, people and other programs say; the amounts and the temperature
    /// hold.
    case always
    /// Nil: until further notice.
    case pause(until: Moment?)
  }

  package var preferences: WorkerPreferences
  package var order = Order.none
  /// When load was last above its limit, and what it was, in per cent.
  private var loadSeen: (at: Moment, percent: Int)?
  private var heatSeen: Moment?
  private var pressureSeen: [Resource: (at: Moment, percent: Int)] = [:]

  /// What programs wait for.
  private enum Resource {
    case cpu
    case memory
  }

  /// How long load and temperature must be below their limits before computing goes on, at least.
  package static let calm = Duration.seconds(10)
  /// And by how much the temperature, in degrees: it falls at once when computing stops.
  static let coolerBy = 3.0
  private let calm: Duration

  /// - Parameter calm: this worker's own time of calm: workers that stop for each other must not go
  ///   on in step.
  package init(preferences: WorkerPreferences, calm: Duration = Self.calm) {
    (self.preferences, self.calm) = (preferences, calm)
  }

  /// What holds at `now`, which never decreases from call to call.
  package mutating func decide(_ around: Surroundings, at now: Moment) -> Allowance {
    if case .pause(let until?) = order, until <= now { order = .none }
    let isInUse = around.idleSeconds.map { $0 < Double(preferences.idleAfterSeconds) } ?? false
    var pauses: [PauseReason] = []
    if case .pause(let until) = order { pauses.append(.owner(until: until)) }
    let load = load(around, at: now)
    let pressures = pressures(around, at: now)
    if order != .always {
      if !preferences.hours.contains(weekday: around.weekday, minute: around.minuteOfDay) {
        pauses.append(.hours(preferences.hours))
      }
      if preferences.tariffHours.contains(weekday: around.weekday, minute: around.minuteOfDay) {
        pauses.append(.tariff(preferences.tariffHours))
      }
      if around.isOnBattery && !preferences.computesOnBattery { pauses.append(.battery) }
      if isInUse && !preferences.computesInUse { pauses.append(.inUse) }
      if let load { pauses.append(load) }
      pauses += pressures
    }
    if let heat = heat(around, at: now) { pauses.append(heat) }
    // Where nobody can tell whether the machine is in use, it may be.
    let isIdle = around.idleSeconds != nil && !isInUse
    let memoryPercent = isIdle ? preferences.memoryIdlePercent : preferences.memoryInUsePercent
    var allowance = Allowance(
      pauses: pauses, cpuShare: Double(preferences.cpuPercent) / 100,
      threads: [preferences.threads, around.threads].compactMap { $0 }.min(),
      memoryBytes: around.memoryBytes / 100 * memoryPercent)
    allowance.network = NetworkAllowance(preferences, around, isAlways: order == .always)
    allowance.disk = DiskLimits(preferences)
    allowance.sharesMachine = preferences.sharesMachine
    return allowance
  }

  private mutating func load(_ around: Surroundings, at now: Moment) -> PauseReason? {
    let limit = preferences.otherLoadPercent
    guard limit > 0, let load = around.otherLoad else { return nil }
    if load * 100 > Double(limit) { loadSeen = (now, Int((load * 100).rounded())) }
    guard let loadSeen, isRecent(loadSeen.at, at: now) else { return nil }
    return .otherLoad(percent: loadSeen.percent, limit: limit)
  }

  private mutating func pressures(_ around: Surroundings, at now: Moment) -> [PauseReason] {
    let cpu = pressure(.cpu, around.cpuPressure, preferences.cpuPressurePercent, at: now)
    let memory = pressure(
      .memory, around.memoryPressure, preferences.memoryPressurePercent, at: now)
    return [
      cpu.map { .cpuPressure(percent: $0, limit: preferences.cpuPressurePercent) },
      memory.map { .memoryPressure(percent: $0, limit: preferences.memoryPressurePercent) },
    ].compactMap { $0 }
  }

  /// What was last seen above the limit, in per cent, unless that is long ago.
  private mutating func pressure(
    _ resource: Resource, _ percent: Double?, _ limit: Int, at now: Moment
  ) -> Int? {
    guard limit > 0, let percent else { return nil }
    if percent > Double(limit) { pressureSeen[resource] = (now, Int(percent.rounded(.up))) }
    guard let seen = pressureSeen[resource], isRecent(seen.at, at: now) else { return nil }
    return seen.percent
  }

  private mutating func heat(_ around: Surroundings, at now: Moment) -> PauseReason? {
    guard let limit = preferences.temperatureCelsius, let celsius = around.temperatureCelsius
    else { return nil }
    let isPaused = isRecent(heatSeen, at: now)
    if celsius > Double(limit) - (isPaused ? Self.coolerBy : 0) { heatSeen = now }
    guard isRecent(heatSeen, at: now) else { return nil }
    return .temperature(celsius: Int(celsius.rounded()), limit: limit)
  }

  private func isRecent(_ seen: Moment?, at now: Moment) -> Bool {
    seen.map { $0.duration(to: now) < calm } ?? false
  }
}
