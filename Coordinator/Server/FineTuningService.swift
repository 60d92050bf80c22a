import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Logging
import ServiceLifecycle

/// Moves fine-tuning jobs on: validates new ones, joins rounds, ends what is done. What a killed
/// process left is taken up again.
package struct FineTuningService: Service {
  let environment: APIEnvironment
  let atOnce: Int
  let pollSeconds: Int
  let rule: RoundRule
  let logger: Logger

  /// - Parameter atOnce: jobs whose files are read at a time; rounds go on beside that.
  package init(
    environment: APIEnvironment, atOnce: Int, pollSeconds: Int, rule: RoundRule = RoundRule(),
    logger: Logger
  ) {
    self.environment = environment
    self.atOnce = atOnce
    self.pollSeconds = pollSeconds
    self.rule = rule
    self.logger = logger
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        var running = environment.now()
        let active = ActiveJobs()
        while !Task.isCancelled {
          var next: Timestamp?
          // After the clock was set back, the start would be long to come.
          running = min(running, environment.now())
          for job in await openJobs() {
            switch job.state {
            case .validating:
              guard active.begin(job.id, limit: atOnce) else { continue }
              group.addTask {
                await validate(job)
                active.end(job.id)
                environment.wakeups.fineTuning.signal()
              }
            default:
              guard let due = await advance(job, running) else { continue }
              next = min(next ?? due, due)
            }
          }
          let seconds = next.map { max(0.1, $0.seconds(since: environment.now())) }
          await environment.wakeups.fineTuning.wait(
            atMost: .seconds(min(Double(pollSeconds), seconds ?? Double(pollSeconds))))
        }
      }
    }
  }

  private func openJobs() async -> [FineTuningJobRecord] {
    do {
      return try await environment.store.openFineTuningJobs(limit: 1000)
    } catch {
      log(error, [:])
      return []
    }
  }

  private func validate(_ job: FineTuningJobRecord) async {
    do {
      try await FineTuningValidation(environment: environment, job: job, logger: logger).run()
      environment.setbacks.clear(job.id)
    } catch {
      environment.setbacks.note(job.id, couldNot: "read its files")
      log(error, ["job": "\(job.id)"])
      // Not at once again: the failure may last.
      try? await Task.sleep(for: .seconds(pollSeconds))
    }
  }

  /// - Parameter running: since when the service runs.
  /// - Returns: when the round's stragglers have had their time.
  private func advance(_ job: FineTuningJobRecord, _ running: Timestamp) async -> Timestamp? {
    do {
      let stragglers = try await FineTuningAdvance(
        environment: environment, job: job, rule: rule, running: running, logger: logger
      ).run()
      environment.setbacks.clear(job.id)
      return stragglers
    } catch {
      environment.setbacks.note(job.id, couldNot: "join its round")
      log(error, ["job": "\(job.id)"])
      return nil
    }
  }

  private func log(_ error: any Error, _ metadata: Logger.Metadata) {
    guard !(error is CancellationError) else { return }
    logger.error(
      "fine-tuning job cannot go on now", metadata: metadata.merging(["error": "\(error)"]) { $1 })
  }
}
