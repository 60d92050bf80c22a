import CoordinatorCore
import CoordinatorStore
import WireProtocol

/// One fine-tuning job: its rounds, and how the losses fall. What it learns from is its owner's
/// alone.
struct TuningPage: PageContent {
  static let template = "tuning"
  let title: String
  let id: String
  let model: String
  let pool: String
  let state: String
  let tone: String
  let percent: String
  let rounds: [Round]
  let hasRounds: Bool
  let steps: String
  let created: String
  let createdAt: String
  let tokens: String
  let heldOut: String?
  let heldOutBefore: String?
  let failure: String?
  let reasons: [String]
  let hasReasons: Bool

  /// A line of the table.
  struct Round {
    let number: String
    let shards: String
    let trainingLoss: String
    let heldOutLoss: String
  }

  init(_ job: FineTuningJobRecord, _ published: [FineTuningRoundRecord], reasons: [String]) {
    self.reasons = reasons
    hasReasons = !reasons.isEmpty
    title = "Job \(job.id)"
    id = job.id
    model = job.job.model
    pool = job.job.pool.rawValue
    state = TuningText.state(job)
    tone = TuningText.tone(job.state)
    percent = TuningText.progress(job).percent
    let joined = published.last { $0.joinedAt != nil }?.number
    let done = joined.flatMap { job.plan?.steps(through: $0) } ?? 0
    let all = job.plan.map { $0.steps(through: $0.rounds - 1) } ?? 0
    steps = "\(Spelling.count(done)) of \(Spelling.count(all, "step"))"
    created = Spelling.time(job.createdAt)
    createdAt = Spelling.machineTime(job.createdAt)
    tokens = Spelling.count(job.trainedTokens)
    let first = published.first?.validationLoss
    let best = published.dropFirst().compactMap(\.validationLoss).min()
    heldOut = best.map { Spelling.decimals($0, 3) }
    heldOutBefore = first.map { Spelling.decimals($0, 3) }
    // The message may quote the owner's data.
    failure = job.failure.map { _ in "It failed; its owner is told why." }
    rounds = published.map { round in
      let before = round.number > 0 ? published[round.number - 1] : nil
      func loss(_ value: Double?) -> String { value.map { Spelling.decimals($0, 4) } ?? "" }
      return Round(
        number: round.number == 0 ? "before" : "\(round.number)",
        shards: before?.metrics.map { "\($0.joined) of \($0.shards)" } ?? "",
        trainingLoss: loss(before?.metrics?.meanLoss), heldOutLoss: loss(round.validationLoss))
    }
    hasRounds = !rounds.isEmpty
  }
}

/// How pages speak of a fine-tuning job.
enum TuningText {
  static func state(_ job: FineTuningJobRecord) -> String {
    switch job.state {
    case .validating: "validating"
    case .running: job.hasBegun ? "in progress" : "waiting for workers"
    case .paused: "paused by its owner"
    case .succeeded: "completed"
    case .failed: "failed"
    case .cancelled: "cancelled"
    }
  }

  /// The class that colours a state.
  static func tone(_ state: FineTuningState) -> String {
    switch state {
    case .succeeded: "good"
    case .failed, .cancelled: "bad"
    case .validating, .running, .paused: ""
    }
  }

  static func progress(_ job: FineTuningJobRecord) -> ProgressText {
    let isDone = job.state == .succeeded
    let rounds = Double(job.plan?.rounds ?? 0)
    return ProgressText(
      done: isDone ? 1 : Double(max(0, job.rounds - 1)), of: isDone ? 1 : rounds + 1)
  }
}

/// Where a job's page is, of whichever kind it is.
enum JobPath {
  static func of(_ id: String) -> String {
    id.hasPrefix("ftjob-") ? "/tuning/\(id)" : "/jobs/\(id)"
  }
}

extension DashboardRoutes {
  /// `GET /tuning/{id}`.
  func tuning(_ visit: PageVisit) async throws -> TuningPage {
    let id = try visit.pathID()
    guard let job = try await environment.store.fineTuningJob(id, key: nil) else {
      throw StoreError(.notFound, "There is no job '\(id.prefix(100))'.")
    }
    return TuningPage(
      job, try await environment.store.fineTuningRounds(of: id, key: nil),
      reasons: try await environment.waitReasons(ofFineTuningJob: id, key: nil))
  }
}
