import WireProtocol
import WorkerCore

/// What a worker does and has done since it started, for whoever watches.
package struct WorkerReport: Hashable, Sendable {
  /// The unit at work.
  package struct Unit: Hashable, Sendable {
    package var lease: String
    package var unit: Digest
    /// The share that is done, 0 to 1, by the coordinator's estimate.
    package var share: Double
    /// Tokens generated a second, of late; nil when it has just begun.
    package var tokensPerSecond: Double?
    /// When its lease ends unless the coordinator extends it.
    package var deadline: Moment?
  }

  package var activity: WorkerActivity
  /// Why it does not compute though it might, in words.
  package var pauses: [String] = []
  /// Why it transfers nothing, in words.
  package var networkPauses: [String] = []
  /// `activity` as a sentence.
  package var summary: String
  /// Nil before the worker has joined.
  package var workerID: String?
  package var accountName: String?
  package var unit: Unit?
  /// Results that the coordinator has answered for.
  package var unitsDone = 0
  /// Tokens in finished units.
  package var tokensDone = 0
  /// Sequences of finished units that the worker had computed before it was interrupted.
  package var sequencesResumed = 0
  /// Finished results that the coordinator has not answered for.
  package var waitingResults = 0
  /// Floating-point operations a second over recent units; nil before the first.
  package var flopsPerSecond: Double?
  /// How worker and account stood when the coordinator was last asked; nil before the first time.
  package var standing: StandingNote?
  /// What the coordinator's operator tells volunteers.
  package var message: String?
  /// Why the coordinator turns this worker away, or which request to it fails and why, and when it
  /// is asked again, in words.
  package var coordinatorProblem: String?
  /// Why the last unit failed on this machine, in words; nil once one succeeds.
  package var unitProblem: String?
}

extension WorkerActivity {
  /// A sentence for people; `now` tells how long waits still are.
  ///
  /// - Parameters:
  ///   - cacheSetting: the setting that limits the cache.
  ///   - failing: the requests that fail; the one that the activity waits for is told.
  package func summary(
    at now: Moment, cacheSetting: String? = nil, failing: [FailingRequest] = []
  ) -> String {
    func wait(_ until: Moment) -> String { Self.wait(until, at: now) }
    func trouble(_ purpose: FailingRequest.Purpose) -> String {
      failing.first { $0.purpose == purpose }.map { ": \($0.reason(at: now))" } ?? ""
    }
    switch self {
    case .starting: return "starting"
    case .joining: return "joining the coordinator" + trouble(.joining)
    case .leasing: return "asking for work" + trouble(.leasing)
    case .idle(let reasons, let until):
      let words = reasons.isEmpty ? "no work" : Self.words(for: reasons, cacheSetting)
      return "idle: \(words); asking again in \(wait(until))"
    case .backingOff(let failure, let until):
      return "\(ForeignText.line("\(failure)") ?? ""); trying again in \(wait(until))"
    case .pausing(let detail, let until):
      let detail = ForeignText.line(detail) ?? ""
      return "the last unit failed here (\(detail)); going on in \(wait(until))"
    case .resuming:
      return "asking whether the unit of the last run is still wanted" + trouble(.heartbeat)
    case .fetching: return "fetching a unit's model and inputs" + trouble(.fetching)
    case .running: return "running a unit"
    case .uploading: return "sending a result" + trouble(.sending)
    case .awaitingDelivery(let results):
      return
        "\(results) finished \(results == 1 ? "result waits" : "results wait") to be sent, and no "
        + "further work is asked for" + trouble(.sending)
    case .draining(let until): return "ending, within \(wait(until))"
    case .stopped(let reason): return "stopped: \(ForeignText.line("\(reason)") ?? "")"
    }
  }

  /// How long it is until then.
  static func wait(_ until: Moment, at now: Moment) -> String {
    let seconds = max(0, Int(now.duration(to: until).inSeconds.rounded(.up)))
    return seconds < 600 ? "\(seconds) s" : "\((seconds + 59) / 60) min"
  }

  /// The coordinator counts requests, and units where these are cut already.
  private static func amount(_ count: Int) -> String {
    " (\(count) \(count == 1 ? "request or unit" : "requests or units"))"
  }

  private static func words(
    for reasons: [IdleReason: Int], _ cacheSetting: String?
  ) -> String {
    reasons.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
      .map { reason, count in
        switch reason {
        case .noWork: "no job waits"
        case .sameAccount: "work waits for another account's machine\(amount(count))"
        case .otherPool: "work waits in other pools\(amount(count))"
        case .needsMoreMemory: "work waits that needs more memory\(amount(count))"
        case .needsMoreDisk:
          "work waits that needs a larger cache"
            + (cacheSetting.map { " than \($0) leaves" } ?? "") + amount(count)
        case .suspended: "this worker or its account is suspended after a wrong result"
        case .paused: "the coordinator is paused"
        case .banned: "the coordinator's operator has banned this worker"
        case .notChosen: "work waits that this machine's owner did not choose\(amount(count))"
        case .holdsEnough:
          "this worker or its account holds as many units as the coordinator gives at one time"
        case .failedLately:
          "units failed lately on this worker or on another of its account, so the coordinator "
            + "gives it none for a while"
        }
      }.joined(separator: ", ")
  }
}

extension FailingRequest {
  /// Why it fails and when it is repeated, to stand after a colon.
  func reason(at now: Moment) -> String {
    let again = until.map { "in \(WorkerActivity.wait($0, at: now))" } ?? "now"
    return "\(ForeignText.line("\(failure)") ?? ""); trying again \(again)"
  }

  /// What fails, why, and when it is repeated.
  package func sentence(at now: Moment) -> String { "\(purpose.words): \(reason(at: now))" }
}

extension FailingRequest.Purpose {
  fileprivate var words: String {
    switch self {
    case .joining: "joining the coordinator fails"
    case .leasing: "asking for work fails"
    case .sending: "sending results fails"
    case .fetching: "fetching a unit's model and inputs fails"
    case .heartbeat: "telling the coordinator of the unit fails"
    case .renewal: "renewing this worker's certificate fails"
    case .moving: "the address that the coordinator announced is not taken up yet"
    }
  }
}
