import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing
import TestSupport
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// Computes nothing real: a unit's result is its inputs, reversed; what it does on the way is the
/// test's to say.
final class FakeRunner: UnitRunning {
  /// Runs at the start of each unit, on its thread.
  let during: @Sendable (UnitTask) throws -> Void
  let ran = Mutex<[Digest]>([])

  init(during: @escaping @Sendable (UnitTask) throws -> Void = { _ in }) { self.during = during }

  func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    try JSONDecoder().decode([Chunk].self, from: manifest).map {
      BlobReference(digest: $0.digest, bytes: $0.bytes)
    }
  }

  func run(_ task: UnitTask) throws -> UnitOutcome {
    try during(task)
    for chunk in try chunks(ofManifest: task.manifest, part: nil) {
      let data = try Data(contentsOf: URL(fileURLWithPath: task.blobPath(chunk.digest)))
      guard BlobDigest.sha256(data) == chunk.digest else {
        throw UnitFailure.failed("a chunk has wrong bytes")
      }
    }
    ran.withLock { $0.append(task.specification.inputs) }
    task.progress(1e6)
    return UnitOutcome(result: Data(task.inputs.reversed()), tokens: 3, flops: 1e6)
  }

  struct Chunk: Codable {
    var digest: Digest
    var bytes: Int
  }
}

/// The observations of one worker, and waiting for one of them.
final class Observations: Sendable {
  private let reports: AsyncStream<WorkerReport>
  private let feed: AsyncStream<WorkerReport>.Continuation

  init() { (reports, feed) = AsyncStream.makeStream() }

  var observer: @Sendable (WorkerReport) -> Void { { [feed] in feed.yield($0) } }

  /// The first report, from where the last call stopped, that satisfies `condition`.
  @discardableResult
  func wait(for condition: (WorkerReport) -> Bool) async throws -> WorkerReport {
    for await report in reports where condition(report) { return report }
    throw CancellationError()
  }
}

extension StubState {
  /// A model of these chunks; returns its manifest's digest.
  func addModel(chunks: [Data]) throws -> Digest {
    let references = chunks.map { FakeRunner.Chunk(digest: add($0), bytes: $0.count) }
    return add(try JSONEncoder().encode(references))
  }

  /// Queues a unit over `model`; returns its lease.
  @discardableResult
  func addUnit(
    _ number: Int, model: Digest, inputs: Data, kind: UnitKind = .generate, cache: CacheType = .f16,
    part: UnitPart? = nil, adapter: Digest? = nil, heartbeatSeconds: Int = 1
  ) throws -> Lease {
    let specification = UnitSpecification(
      kind: kind, model: model, inputs: add(inputs), cache: cache, part: part, adapter: adapter)
    let digits = String(number)
    let lease = Lease(
      id: "lease_" + String(repeating: "0", count: 24 - digits.count) + digits,
      unit: try BlobDigest.unit(specification), specification: specification,
      estimatedFlops: 2e6, deadlineSeconds: 60, heartbeatSeconds: heartbeatSeconds)
    leases.append(lease)
    return lease
  }
}

/// Short times, so that a test which waits for a retry waits for milliseconds.
extension LifecycleSettings {
  static var quick: LifecycleSettings {
    var settings = LifecycleSettings()
    settings.requestBackoff = Backoff(first: .milliseconds(5), ceiling: .milliseconds(50))
    settings.renewalBackoff = settings.requestBackoff
    settings.turnedAwayBackoff = settings.requestBackoff
    settings.movingBackoff = settings.requestBackoff
    return settings
  }
}

/// Runs a worker against a stub while `body` runs, then ends it as SIGTERM would. Without a root
/// for its sensors it sees nothing of this machine, which is busy with tests.
func withWorker(
  _ configuration: WorkerConfiguration, runner: any UnitRunning = FakeRunner(),
  clock: WorkerClock = .system(), sensorRoot: String = "/nowhere",
  watch: @escaping @Sendable (WorkerReport) -> Void = { _ in },
  _ body: @escaping @Sendable (Observations) async throws -> Void
) async throws {
  let observations = Observations()
  var logger = Logger(label: "worker")
  logger.logLevel = .critical
  let daemon = WorkerDaemon(
    configuration: configuration, runner: runner, logger: logger, clock: clock, seed: 1,
    settings: .quick,
    sensorRoot: sensorRoot,
    observer: { [observer = observations.observer] report in
      watch(report)
      observer(report)
    })
  let service = ServiceGroupConfiguration.ServiceConfiguration(
    service: daemon, successTerminationBehavior: .gracefullyShutdownGroup)
  let services = ServiceGroup(configuration: .init(services: [service], logger: logger))
  try await withThrowingTaskGroup(of: Void.self) { tasks in
    tasks.addTask { try await services.run() }
    tasks.addTask {
      try await body(observations)
      await services.triggerGracefulShutdown()
    }
    // The first error cancels the rest, which `waitForAll` would wait for.
    while try await tasks.next() != nil {}
  }
}

extension StubState {
  func invitation(_ url: String, _ authority: TestAuthority) throws -> Invitation {
    Invitation(url: url, secret: secret, authority: try authority.fingerprint)
  }
}
