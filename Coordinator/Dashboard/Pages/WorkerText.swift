import CoordinatorCore
import CoordinatorStore

/// How pages speak of a worker.
struct WorkerText {
  /// What it does now, in a sentence.
  let state: String
  /// The class that colours it.
  let tone: String
  let seen: String
  let trust: String
  let speed: String?
  let running: [Running]

  /// A replica that it computes.
  struct Running {
    let path: String
    let model: String
    let percentDone: String
    let since: String
    let lease: String
  }

  /// - Parameter isOwner: whether its owner reads this, who is told the operator's reasons.
  init(_ worker: WorkerOverview, isOwner: Bool, now: Timestamp) {
    (state, tone) = Self.state(worker, isOwner: isOwner, now: now)
    seen = worker.lastSeen.map { Spelling.ago($0, now: now) } ?? "never"
    trust =
      worker.trusted
      ? "Trusted by the operator: it serves the trusted pool too."
      : worker.consecutiveValid == 0
        ? worker.contribution.rejected > 0
          ? "Its last result that was compared was wrong."
          : "None of its results has been compared with another machine's yet."
        : "\(Spelling.count(worker.consecutiveValid, "result")) in a row "
          + "\(worker.consecutiveValid == 1 ? "was" : "were") confirmed by other machines."
    speed = worker.flopsPerSecond.map(Spelling.speed)
    running = worker.running.map { replica in
      let left = replica.deadline.seconds(since: now)
      return Running(
        path: JobPath.of(replica.job),
        model: replica.model.map(BatchText.model) ?? "several models",
        percentDone: ProgressText(done: replica.flopsDone, of: replica.flopsEstimated).percent,
        since: "for " + Spelling.duration(now.seconds(since: replica.issuedAt)),
        lease: left > 0 ? "lease ends in \(Spelling.duration(left))" : "lease is over")
    }
  }

  private static func state(
    _ worker: WorkerOverview, isOwner: Bool, now: Timestamp
  ) -> (String, String) {
    if let ban = worker.ban {
      let whom = ban.coversAccount ? "its account" : "it"
      let why = isOwner && !ban.reason.isEmpty ? ": \(ban.reason)" : "."
      return ("Gets no work: the operator has banned \(whom)\(why)", "bad")
    }
    if let until = worker.suspendedUntil {
      let left = Spelling.duration(until.seconds(since: now))
      return ("Gets no work for \(left), since one of its results was wrong.", "bad")
    }
    if !worker.running.isEmpty {
      return ("Computes \(Spelling.count(worker.running.count, "work unit")).", "good")
    }
    guard worker.lastSeen != nil else { return ("Has joined, and not asked for work yet.", "") }
    return worker.isActive
      ? ("Idle: it asks for work and there is none for it.", "") : ("Away.", "quiet")
  }
}
