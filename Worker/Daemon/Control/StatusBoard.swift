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

  var hasUnit: Bool { content.withLock { $0.report?.unit != nil } }

  func show(_ allowance: Allowance) { content.withLock { $0.allowance = allowance } }

  /// Completes a report by what keeps the worker from computing, and returns it.
  func show(_ report: WorkerReport, at now: Moment) -> WorkerReport {
    content.withLock { content in
      var report = report
      report.take(content.allowance, at: now)
      content.report = report
      report.summary = report.wholeSummary
      return report
    }
  }

  func document(
    _ state: WorkerGovernor.State, _ configuration: WorkerConfiguration, coordinator: String?,
    cache: BlobCache.Usage, energy: EnergyRecorder.State, uptime: Duration,
    at now: Moment, unixSeconds: Int
  ) -> StatusDocument {
    let report = content.withLock { $0.report }
    var current = report
    current?.take(state.allowance, at: now)
    let mode =
      switch state.order {
      case .none: "preferences"
      case .always: "always"
      case .pause: "paused"
      }
    return StatusDocument(
      summary: current?.wholeSummary ?? "starting",
      paused_because: state.allowance.pauses.map { $0.words(at: now) }, mode: mode,
      coordinator: coordinator, account: report?.accountName, worker: report?.workerID,
      unit: report?.unit.map {
        StatusDocument.Unit(
          unit: $0.unit.hex, lease: $0.lease, share: $0.share,
          tokens_per_second: $0.tokensPerSecond,
          due_in_seconds: $0.deadline.map { max(0, Int(now.duration(to: $0).inSeconds)) })
      },
      standing: report?.standing.map {
        StatusDocument.Standing($0, unixSeconds: unixSeconds)
      },
      limits: StatusDocument.Limits(state, configuration, cache),
      results: report?.unitsDone ?? 0, tokens: report?.tokensDone ?? 0,
      resumed_sequences: report?.sequencesResumed ?? 0,
      waiting_results: report?.waitingResults ?? 0, cache_used_bytes: cache.usedBytes,
      flops_per_second: report?.flopsPerSecond, uptime_seconds: Int(uptime.inSeconds),
      preferences_problem: state.problem, network: StatusDocument.Network(state, at: now),
      energy: StatusDocument.Energy(energy, wattsPerCore: state.preferences.wattsPerCore),
      message: report?.message, coordinator_problem: report?.coordinatorProblem,
      unit_problem: report?.unitProblem, choices: state.choices.isEmpty ? nil : state.choices)
  }
}

extension StatusDocument.Limits {
  fileprivate init(
    _ state: WorkerGovernor.State, _ configuration: WorkerConfiguration, _ cache: BlobCache.Usage
  ) {
    let (allowance, machine) = (state.allowance, state.machine)
    let threads = min(configuration.threads, allowance.threads ?? .max)
    self.init(
      cpu_percent: Int((allowance.cpuShare * 100).rounded()), threads: threads,
      memory_bytes: min(configuration.memoryLimitBytes, allowance.memoryBytes),
      cache_bytes: cache.limitBytes,
      threads_because: threads == machine.threads ? machine.threadsOrigin?.rawValue : nil,
      memory_because: configuration.memoryLimitBytes < allowance.memoryBytes
        ? nil : machine.memoryOrigin?.rawValue,
      cache_because: cache.reason, cgroup_weight: state.group.weight,
      cgroup_problem: state.group.problem)
  }
}

extension StatusDocument.Network {
  fileprivate init(_ state: WorkerGovernor.State, at now: Moment) {
    let network = state.allowance.network
    self.init(
      paused_because: network.pauses.map { $0.words(at: now) },
      month_bytes: state.transferredBytes, monthly_limit_bytes: network.monthlyBytes,
      download_bytes_per_second: network.downloadBytesPerSecond,
      upload_bytes_per_second: network.uploadBytesPerSecond)
  }
}

extension WorkerReport {
  /// Completes it by what keeps the worker from computing and from transferring.
  fileprivate mutating func take(_ allowance: Allowance?, at now: Moment) {
    pauses = allowance?.pauses.map { $0.words(at: now) } ?? []
    networkPauses = allowance?.network.pauses.map { $0.words(at: now) } ?? []
  }

  /// What it does, or else what it waits for.
  fileprivate var wholeSummary: String {
    if isHeldBack { return pausedSummary }
    return waitsForNetwork ? "no transfers: " + networkPauses.joined(separator: "; ") : summary
  }

  /// Whether the limits of the network are what the worker waits for.
  private var waitsForNetwork: Bool {
    guard !networkPauses.isEmpty else { return false }
    switch activity {
    case .leasing, .idle, .fetching, .uploading, .awaitingDelivery, .pausing, .starting,
      .backingOff:
      return true
    case .running, .resuming, .joining, .draining, .stopped: return false
    }
  }

  /// Whether the pauses, and nothing that is going on anyway, are what the worker waits for.
  var isHeldBack: Bool {
    guard !pauses.isEmpty else { return false }
    switch activity {
    case .leasing, .idle, .running, .resuming, .fetching, .uploading, .awaitingDelivery, .pausing,
      .starting, .backingOff:
      return true
    case .joining, .draining, .stopped: return false
    }
  }

  var pausedSummary: String {
    "paused: " + pauses.joined(separator: "; ") + (unit == nil ? "" : " (a unit waits)")
  }
}
