import CoordinatorAPI
import CoordinatorStatistics
import Logging
import ServiceLifecycle

/// Writes BOINC's statistics files again and again.
package struct StatisticsService: Service {
  let environment: APIEnvironment
  let folder: StatisticsFolder
  let seconds: Int
  let logger: Logger

  package init(
    environment: APIEnvironment, folder: StatisticsFolder, seconds: Int, logger: Logger
  ) {
    self.environment = environment
    self.folder = folder
    self.seconds = seconds
    self.logger = logger
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          try folder.write(try await environment.store.export(now: environment.now()))
        } catch is CancellationError {
          return
        } catch {
          logger.error("statistics cannot be written", metadata: ["error": "\(error)"])
        }
        try? await Task.sleep(for: .seconds(seconds))
      }
    }
  }
}
