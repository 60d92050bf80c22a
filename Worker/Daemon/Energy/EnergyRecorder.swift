import Foundation
import Logging
import Synchronization
import WorkerCore

/// Counts the energy of the units that run, and keeps the count over restarts. Safe to use from any
/// thread; it looks at the machine only while something runs.
package final class EnergyRecorder: Sendable {
  /// How things stand, for whoever wants to see.
  package struct State: Hashable, Sendable {
    /// Power of late; nil when nothing runs, or has just begun to.
    package var watts: Double?
    /// Of the running units, with their earlier runs; nil when nothing runs.
    package var unit: EnergyUse?
    package var today: EnergyUse
    package var total: EnergyUse
    /// Whether the last look had to estimate; nil before the first.
    package var isEstimating: Bool?
  }

  private struct Content {
    var meter = EnergyMeter()
    var ledger: EnergyLedger
    var power = PowerReading()
    var running: [String] = []
    var lookedAt: Moment?
    var isEstimating: Bool?
    var wattsPerCore: Double
    var savedTotal: Double
    var savedAt: Moment
  }

  private let content: Mutex<Content>
  /// Held while the file is written.
  private let writing = Mutex(())
  private let sensors: EnergySensors
  private let clock: WorkerClock
  private let path: String
  private let logger: Logger

  private static let saveInterval = Duration.seconds(10)

  /// A count that cannot be read begins anew: nothing depends on it.
  package init(
    folder: WorkerFolder, sensors: EnergySensors, clock: WorkerClock,
    wattsPerCore: Int = WorkerPreferences().wattsPerCore, logger: Logger
  ) {
    path = folder.energy
    self.sensors = sensors
    self.clock = clock
    self.logger = logger
    var ledger = EnergyLedger()
    do {
      if let data = try DurableFile.read(path, limitBytes: 1 << 18) {
        ledger = try JSONDecoder().decode(EnergyLedger.self, from: data)
      }
    } catch {
      logger.warning("energy counted from nothing", metadata: ["error": "\(error)"])
    }
    content = Mutex(
      Content(
        ledger: ledger, wattsPerCore: Double(wattsPerCore), savedTotal: ledger.total.joules,
        savedAt: clock.now()))
  }

  /// A unit begins to run.
  package func begin(lease: String) {
    look { $0.running.append(lease) }
  }

  /// Its run is over. Returns what it took so far, with its earlier runs.
  @discardableResult
  package func end(lease: String) -> EnergyUse {
    let use = look { content in
      content.running.removeAll { $0 == lease }
      if content.running.isEmpty {
        content.meter.pause()
        content.power = PowerReading()
        content.lookedAt = nil
      }
      return content.ledger.use(ofLease: lease)
    }
    save(isLast: false)
    return use
  }

  /// Counts up to now, while something runs. Called once a second.
  package func tick(wattsPerCore: Int) {
    let isRunning = content.withLock { content in
      content.wattsPerCore = Double(wattsPerCore)
      return !content.running.isEmpty
    }
    if isRunning { look { _ in } }
    save(isLast: false)
  }

  /// A unit is not held any more.
  package func forget(lease: String) {
    content.withLock { $0.ledger.forget(lease: lease) }
  }

  package var state: State {
    let day = CivilDay(unixSeconds: clock.unixSeconds())
    return content.withLock { content in
      let units = content.running.map(content.ledger.use(ofLease:))
      return State(
        watts: content.running.isEmpty ? nil : content.power.watts,
        unit: units.isEmpty ? nil : units.reduce(EnergyUse(), +),
        today: content.ledger.use(on: day), total: content.ledger.total,
        isEstimating: content.isEstimating)
    }
  }

  /// Adds what was used since the last look to what ran, then lets `change` say what runs.
  private func look<Value: Sendable>(_ change: (inout Content) -> Value) -> Value {
    let day = CivilDay(unixSeconds: clock.unixSeconds())
    return content.withLock { content in
      let now = clock.now()
      if let sample = sensors.sample(at: now) {
        let use = content.meter.add(sample, wattsPerCore: content.wattsPerCore)
        if !content.running.isEmpty {
          content.ledger.add(use, leases: content.running, on: day)
          if let before = content.lookedAt {
            content.power.add(use, seconds: before.duration(to: now).inSeconds)
          }
        }
        if use.joules > 0 || content.isEstimating == nil {
          content.isEstimating =
            use.joules > 0 ? use.isEstimated : EnergyCounter.additive(sample.counters).isEmpty
        }
        content.lookedAt = now
      }
      return change(&content)
    }
  }

  /// Stores the count when it has changed and some time has passed, or at all if `isLast`.
  func save(isLast: Bool) {
    writing.withLock { _ in
      guard let ledger = unsaved(isLast: isLast) else { return }
      do {
        try DurableFile.write([JSONEncoder().encode(ledger)], to: path)
      } catch {
        logger.warning("energy not stored", metadata: ["error": "\(error)"])
      }
    }
  }

  private func unsaved(isLast: Bool) -> EnergyLedger? {
    let now = clock.now()
    return content.withLock { content in
      guard content.ledger.total.joules > content.savedTotal,
        isLast || content.savedAt.duration(to: now) >= Self.saveInterval
      else { return nil }
      content.savedTotal = content.ledger.total.joules
      content.savedAt = now
      return content.ledger
    }
  }
}
