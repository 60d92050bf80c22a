import Testing
import WireProtocol
import WorkerCore

/// Drives a life cycle by hand: events in, actions out, time moved by the test.
struct LifecycleDriver {
  var lifecycle: WorkerLifecycle
  var now = Moment.origin

  /// A worker that is a member, with its first lease request under way.
  init(_ settings: LifecycleSettings = LifecycleSettings(), seed: UInt64 = 1) {
    lifecycle = WorkerLifecycle(settings: settings, seed: seed)
    let actions = send(.started(certificate: .year, results: []))
    #expect(actions == [.requestLease(maximumUnits: settings.maximumUnits)])
  }

  /// A worker that was not started yet.
  init(unstarted settings: LifecycleSettings, seed: UInt64 = 1) {
    lifecycle = WorkerLifecycle(settings: settings, seed: seed)
  }

  mutating func send(_ event: WorkerEvent) -> [WorkerAction] {
    lifecycle.handle(event, at: now)
  }

  mutating func wait(_ duration: Duration) -> [WorkerAction] {
    now = now + duration
    return send(.timer)
  }

  /// Moves the time to the next timer.
  mutating func waitForTimer() throws -> [WorkerAction] {
    now = try #require(lifecycle.nextTimer)
    return send(.timer)
  }

  /// Brings a leased unit to where it runs.
  mutating func runUnit(_ number: Int = 1) {
    let unit = lease(number)
    #expect(send(.leaseAnswered(.units([unit]))) == [.fetch(unit)])
    #expect(send(.blobsReady(lease: unit.id)) == [.run(unit)])
  }
}

/// A lease with a well-formed id; heartbeats every 10 seconds.
func lease(_ number: Int, heartbeatSeconds: Int = 10) -> Lease {
  let digits = String(number)
  let id = "lease_" + String(repeating: "0", count: 24 - digits.count) + digits
  let digest = Digest(hex: String(repeating: "a", count: 64))!
  return Lease(
    id: id, unit: digest,
    specification: UnitSpecification(
      kind: .generate, model: digest, inputs: digest, cache: .f16),
    estimatedFlops: 1e9, deadlineSeconds: 60, heartbeatSeconds: heartbeatSeconds)
}

extension LeaseResponse {
  static func units(_ leases: [Lease]) -> LeaseResponse {
    LeaseResponse(leases: leases, reasons: [:], retryAfterSeconds: 5)
  }

  static let nothing = LeaseResponse(leases: [], reasons: [.noWork: 1], retryAfterSeconds: 20)
}

extension ResultReceipt {
  static let taken = ResultReceipt(state: .awaitingReplica, credit: 0)
}

extension CertificateTerm {
  static let year = CertificateTerm(
    startedAt: .origin, endsAt: .origin + .seconds(365 * 86400))
}

extension RequestFailure {
  static let down = RequestFailure.unreachable(detail: "connection refused")
}
