import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Logging
import ServiceLifecycle

/// Moves fine-tuning jobs on: validates new ones, joins rounds, ends what is done. What a killed process
/// left is taken up again.
package struct FineTuningService: Service {
  let environment: APIEnvironment
  let pollSeconds: Int
  let rule: RoundRule
  let logger: Logger

  package init(
    environment: APIEnvironment, pollSeconds: Int, rule: RoundRule = RoundRule(), logger: Logger
  ) {
    self.environment = environment
    self.pollSeconds = pollSeconds
    self.rule = rule
    self.logger = logger
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        let next = await moveOn()
        let seconds = next.map { max(0.1, $0.seconds(since: environment.now())) }
        await environment.wakeups.fineTuning.wait(
          atMost: .seconds(min(Double(pollSeconds), seconds ?? Double(pollSeconds))))
      }
    }
  }

  /// Looks at every open job; gives when the first one's stragglers have had their time.
  private func moveOn() async -> Timestamp? {
    var next: Timestamp?
    do {
      for job in try await environment.store.openFineTuningJobs(limit: 1000) {
        do {
          guard let due = try await moveOn(job) else { continue }
          next = min(next ?? due, due)
        } catch {
          log(error, ["job": "\(job.id)"])
        }
      }
    } catch {
      log(error, [:])
    }
    return next
  }

  private func moveOn(_ job: FineTuningJobRecord) async throws -> Timestamp? {
    guard job.state == .validating else {
      return try await FineTuningAdvance(
        environment: environment, job: job, rule: rule, logger: logger
      ).run()
    }
    try await FineTuningValidation(environment: environment, job: job, logger: logger).run()
    return nil
  }

  private func log(_ error: any Error, _ metadata: Logger.Metadata) {
    guard !(error is CancellationError) else { return }
    logger.error(
      "fine-tuning job cannot go on now", metadata: metadata.merging(["error": "\(error)"]) { $1 })
  }
}
