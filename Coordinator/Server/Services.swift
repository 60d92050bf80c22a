import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Logging
import ServiceLifecycle
import Synchronization

/// Validates new batches, a few at a time. What a killed process left in `validating` is taken up
/// again.
package struct ValidationService: Service {
  let environment: APIEnvironment
  let atOnce: Int
  let pollSeconds: Int
  let logger: Logger

  package init(environment: APIEnvironment, atOnce: Int, pollSeconds: Int, logger: Logger) {
    self.environment = environment
    self.atOnce = atOnce
    self.pollSeconds = pollSeconds
    self.logger = logger
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        let active = ActiveJobs()
        while !Task.isCancelled {
          for batch in await waiting() {
            guard active.begin(batch.id, limit: atOnce) else { continue }
            group.addTask {
              await validate(batch)
              active.end(batch.id)
              environment.wakeups.validation.signal()
            }
          }
          await environment.wakeups.validation.wait(atMost: .seconds(pollSeconds))
        }
      }
    }
  }

  private func waiting() async -> [BatchRecord] {
    do {
      return try await environment.store.batchesToValidate(limit: 64)
    } catch {
      log(error, "batches to validate cannot be listed", [:])
      return []
    }
  }

  private func validate(_ batch: BatchRecord) async {
    do {
      try await BatchValidation(environment: environment, batch: batch, logger: logger).run()
      environment.setbacks.clear(batch.id)
    } catch {
      environment.setbacks.note(batch.id, couldNot: "read its file")
      log(error, "batch cannot be validated now", ["batch": "\(batch.id)"])
      // Not at once again: the failure may last.
      try? await Task.sleep(for: .seconds(pollSeconds))
    }
  }

  private func log(_ error: any Error, _ message: Logger.Message, _ metadata: Logger.Metadata) {
    guard !(error is CancellationError) else { return }
    logger.error(message, metadata: metadata.merging(["error": "\(error)"]) { $1 })
  }
}

/// The batches or jobs that are being validated.
final class ActiveJobs: Sendable {
  private let ids = Mutex<Set<String>>([])

  /// False when it is there already, or `limit` others are.
  func begin(_ id: String, limit: Int) -> Bool {
    ids.withLock { $0.count < limit && $0.insert(id).inserted }
  }

  func end(_ id: String) { _ = ids.withLock { $0.remove(id) } }
}

/// Writes the files of batches whose requests have all ended.
package struct FinalisationService: Service {
  let environment: APIEnvironment
  let pollSeconds: Int
  let logger: Logger

  package init(environment: APIEnvironment, pollSeconds: Int, logger: Logger) {
    self.environment = environment
    self.pollSeconds = pollSeconds
    self.logger = logger
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        await round()
        await environment.wakeups.finalisation.wait(atMost: .seconds(pollSeconds))
      }
    }
  }

  private func round() async {
    do {
      for batch in try await environment.store.batchesToFinalize(limit: 64) {
        do {
          try await BatchFinalisation(environment: environment, batch: batch).run()
          environment.setbacks.clear(batch.id)
          logger.info("batch ended", metadata: ["batch": "\(batch.id)"])
        } catch {
          environment.setbacks.note(batch.id, couldNot: "write its answers")
          log(error, ["batch": "\(batch.id)"])
        }
      }
    } catch {
      log(error, [:])
    }
  }

  private func log(_ error: any Error, _ metadata: Logger.Metadata) {
    guard !(error is CancellationError) else { return }
    logger.error(
      "batch cannot be finished now", metadata: metadata.merging(["error": "\(error)"]) { $1 })
  }
}

/// Expires what is due, and follows the calendar once a jump of it has lasted.
package struct TickService: Service {
  let environment: APIEnvironment
  let clock: SteadyClock
  let tickSeconds: Int
  let logger: Logger
  /// Called after every tick that the store answered.
  let onTick: @Sendable () -> Void

  package init(
    environment: APIEnvironment, clock: SteadyClock, tickSeconds: Int, logger: Logger,
    onTick: @escaping @Sendable () -> Void = {}
  ) {
    self.environment = environment
    self.clock = clock
    self.tickSeconds = tickSeconds
    self.logger = logger
    self.onTick = onTick
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      var jump: Double?
      var owed = 0.0
      while !Task.isCancelled {
        do {
          noteJump(&jump)
          try await followCalendar(&owed)
          let report = try await environment.store.tick(
            now: environment.now(), calendar: clock.calendarNow())
          if report.expiredBatches > 0 { environment.wakeups.finalisation.signal() }
          if report.expiredLeases > 0 { environment.wakeups.replay.signal() }
          if let failure = report.firstFailure {
            logger.error(
              "not everything that is due could be expired",
              metadata: ["count": "\(report.failures)", "first": "\(failure)"])
          }
          onTick()
          for file in report.deletedFiles {
            await environment.claims.drop(file.blob, writtenUntil: file.createdAt)
          }
        } catch is CancellationError {
          return
        } catch {
          logger.error("expiry failed", metadata: ["error": "\(error)"])
        }
        try? await Task.sleep(for: .seconds(tickSeconds))
      }
    }
  }

  /// Logs when the calendar jumps, and when it is as before.
  private func noteJump(_ known: inout Double?) {
    let jump = clock.jumpSeconds
    defer { known = jump }
    switch (known, jump) {
    case (nil, let seconds?):
      logger.error(
        "the system's clock jumped; the time goes on as before until that has lasted",
        metadata: ["seconds": "\(Int(seconds))", "for": "\(SteadyTime.holdSeconds) s"])
    case (.some, nil): logger.notice("the system's clock is as before again")
    default: break
    }
  }

  /// Deadlines move with the clock: before it when it goes forward and after it when it goes back,
  /// so that nothing is due in between.
  ///
  /// - Parameter owed: seconds that deadlines are still to be moved by.
  private func followCalendar(_ owed: inout Double) async throws {
    let due = clock.dueJumpSeconds
    if let due, due < 0 {
      clock.adopt()
      owed += due
    }
    if owed < 0 {
      try await environment.store.moveDeadlines(seconds: owed, now: clock.now())
      owed = 0
    }
    if let due, due > 0 {
      try await environment.store.moveDeadlines(
        seconds: due, now: clock.now().adding(seconds: due))
      clock.adopt()
    }
    if let due {
      logger.error(
        "the system's clock is believed from now on", metadata: ["seconds": "\(Int(due))"])
    }
  }
}
