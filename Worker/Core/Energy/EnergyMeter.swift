/// Tells the energy that this worker used between two looks at the machine.
///
/// The processor's counters tell what everything on it took, idle or not. The worker's part is its
/// share of the time for which processors were busy: on a machine that does nothing else it is
/// all of it. Without counters its own processor time is multiplied by an assumed power.
package struct EnergyMeter: Sendable {
  /// What is seen at one moment.
  package struct Sample: Hashable, Sendable {
    package var at: Moment
    /// Seconds for which processors were busy, and were so for this worker, added up over them.
    package var busySeconds: Double
    package var ownSeconds: Double
    /// Empty where they cannot be read.
    package var counters: [EnergyCounter]

    package init(
      at: Moment, busySeconds: Double, ownSeconds: Double, counters: [EnergyCounter] = []
    ) {
      self.at = at
      self.busySeconds = busySeconds
      self.ownSeconds = ownSeconds
      self.counters = counters
    }
  }

  /// More than any machine's processors take: a counter that says so was set back.
  private static let highestWatts = 10_000.0
  /// Over a longer time a counter may have gone round more than once, or the machine may have
  /// slept.
  private static let longestInterval = Duration.seconds(600)

  private var previous: Sample?

  package init() {}

  /// Forgets the last sample: what is used until the next one is not the worker's.
  package mutating func pause() { previous = nil }

  /// What was used since the sample before.
  ///
  /// - Parameter wattsPerCore: assumed of a busy processor, where nothing is measured.
  package mutating func add(_ sample: Sample, wattsPerCore: Double) -> EnergyUse {
    defer { previous = sample }
    guard let previous else { return EnergyUse() }
    let own = max(0, sample.ownSeconds - previous.ownSeconds)
    guard own > 0 else { return EnergyUse() }
    if let joules = Self.measured(from: previous, to: sample) {
      let busy = max(own, sample.busySeconds - previous.busySeconds)
      return EnergyUse(joules: joules * own / busy)
    }
    return EnergyUse(joules: own * wattsPerCore, estimatedJoules: own * wattsPerCore)
  }

  /// Of everything on the machine; nil where the counters do not tell.
  private static func measured(from previous: Sample, to sample: Sample) -> Double? {
    let seconds = previous.at.duration(to: sample.at)
    let before = EnergyCounter.additive(previous.counters)
    let now = EnergyCounter.additive(sample.counters)
    guard !now.isEmpty, now.map(\.zone) == before.map(\.zone), seconds > .zero,
      seconds <= longestInterval
    else { return nil }
    var joules = 0.0
    for (now, before) in zip(now, before) {
      guard let part = now.joules(since: before) else { return nil }
      joules += part
    }
    return joules <= highestWatts * seconds.inSeconds ? joules : nil
  }
}
