import Synchronization
import WorkerCore

/// The latest of what the worker's parts say of themselves.
final class StatusBoard: Sendable {
  private struct Content {
    var allowance: Allowance?
    var report: WorkerReport?
  }

  private let content = Mutex(Content())

  var allowance: Allowance? { content.withLock { $0.allowance } }

  func show(_ allowance: Allowance) { content.withLock { $0.allowance = allowance } }

  /// Completes a report by what keeps the worker from computing, and returns it.
  func show(_ report: WorkerReport, at now: Moment) -> WorkerReport {
    content.withLock { content in
      var report = report
      report.pauses = content.allowance?.pauses.map { $0.words(at: now) } ?? []
      content.report = report
      if report.isHeldBack { report.summary = report.pausedSummary }
      return report
    }
  }

  func document(
    _ state: WorkerGovernor.State, _ configuration: WorkerConfiguration, coordinator: String?,
    cacheUsedBytes: Int, uptime: Duration, at now: Moment
  ) -> StatusDocument {
    let report = content.withLock { $0.report }
    let pauses = state.allowance.pauses.map { $0.words(at: now) }
    var current = report
    current?.pauses = pauses
    let mode =
      switch state.order {
      case .none: "preferences"
      case .always: "always"
      case .pause: "paused"
      }
    return StatusDocument(
      summary: current.map { $0.isHeldBack ? $0.pausedSummary : $0.summary } ?? "starting",
      paused_because: pauses, mode: mode, coordinator: coordinator, account: report?.accountName,
      worker: report?.workerID,
      unit: report?.unit.map {
        StatusDocument.Unit(unit: $0.unit.hex, lease: $0.lease, share: $0.share)
      },
      limits: StatusDocument.Limits(
        cpu_percent: Int((state.allowance.cpuShare * 100).rounded()),
        threads: min(configuration.threads, state.allowance.threads ?? .max),
        memory_bytes: min(configuration.memoryLimitBytes, state.allowance.memoryBytes),
        cache_bytes: configuration.cacheLimitBytes),
      results: report?.unitsDone ?? 0, tokens: report?.tokensDone ?? 0,
      waiting_results: report?.waitingResults ?? 0, cache_used_bytes: cacheUsedBytes,
      flops_per_second: report?.flopsPerSecond, uptime_seconds: Int(uptime.inSeconds),
      preferences_problem: state.problem)
  }
}

extension WorkerReport {
  /// Whether the pauses, and nothing that is going on anyway, are what the worker waits for.
  var isHeldBack: Bool {
    guard !pauses.isEmpty else { return false }
    switch activity {
    case .leasing, .idle, .running, .fetching, .uploading, .pausing, .starting, .backingOff: return true
    case .joining, .draining, .stopped: return false
    }
  }

  var pausedSummary: String {
    "paused: " + pauses.joined(separator: "; ") + (unit == nil ? "" : " (a unit waits)")
  }
}
