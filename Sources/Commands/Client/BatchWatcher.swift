import APIObjects
import Foundation

/// Follows a batch until it ends, through restarts of the coordinator.
struct BatchWatcher {
  let client: APIClient
  /// How long the coordinator may be out of reach.
  var patience: Duration = .seconds(600)
  /// Called before each look; ends the wait by throwing.
  var check: () throws -> Void = {}

  /// Polls and draws until the batch has ended.
  ///
  /// - Throws: `ConnectionFailure` when the coordinator stays away, `APIError` when it refuses.
  func wait(for id: String, bar: inout ProgressBar) async throws -> ProgressObject {
    var lastAnswer = ContinuousClock.now
    var told: Set<String> = []
    var pause = Duration.milliseconds(250)
    while true {
      try check()
      do {
        let progress = try await client.get("/tally/v1/batches/\(id)", as: ProgressObject.self)
        lastAnswer = .now
        bar.tell(progress.waitReasons, told: &told)
        bar.show(fraction: fraction(progress.batch), detail: detail(progress))
        if progress.batch.hasEnded {
          bar.finish()
          return progress
        }
      } catch let error where Self.isPassing(error) {
        guard ContinuousClock.now - lastAnswer < patience else { throw error }
        bar.tell(["\(error); trying again"], told: &told)
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 1.25, .seconds(2))
    }
  }

  /// Whether asking again may help: no answer, or a server that is starting or overloaded.
  static func isPassing(_ error: any Error) -> Bool {
    switch error {
    case is ConnectionFailure: true
    case let error as APIError: error.status >= 500 || error.status == 429
    default: false
    }
  }

  private func fraction(_ batch: BatchObject) -> Double {
    let total = batch.requestCounts.total
    guard total > 0 else { return batch.hasEnded ? 1 : 0 }
    return Double(batch.done) / Double(total)
  }

  private func detail(_ progress: ProgressObject) -> String {
    let batch = progress.batch
    let total = batch.requestCounts.total
    guard total > 0 else { return batch.status }
    var text = "\(Spelled.count(batch.done))/\(Spelled.count(total)) requests"
    if progress.replicas.running > 0 { text += ", \(progress.replicas.running) running" }
    if batch.status != "in_progress" { text += ", \(batch.status)" }
    return text
  }
}
