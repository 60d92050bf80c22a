import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore

/// All jobs, newest first, without what their owners submitted.
struct JobsPage: PageContent {
  static let template = "jobs"
  let title = "Jobs"
  let jobs: [Job]
  /// Fine-tuning jobs, on the first page.
  let tunings: [Tuning]
  let hasTunings: Bool
  let isEmpty: Bool
  let hasJobs: Bool
  /// The address of the page with older jobs.
  let older: String?
  let isFirst: Bool

  /// A line of the table.
  struct Job {
    let id: String
    let model: String
    let kind: String
    let pool: String
    let state: String
    let tone: String
    let percent: String
    let counts: String
    let failed: String?
    let left: String
    let created: String
    let createdAt: String
  }

  /// A line of the table of fine-tuning jobs.
  struct Tuning {
    let id: String
    let model: String
    let pool: String
    let state: String
    let tone: String
    let percent: String
    let rounds: String
    let created: String
    let createdAt: String
  }

  init(
    _ page: Page<BatchRecord>, tunings: [FineTuningJobRecord], isFirst: Bool, now: Timestamp
  ) {
    jobs = page.items.map { Job($0, now: now) }
    self.tunings = tunings.map(Tuning.init)
    hasJobs = !jobs.isEmpty
    hasTunings = !tunings.isEmpty
    isEmpty = jobs.isEmpty && tunings.isEmpty
    older = page.hasMore ? page.items.last.map { "/jobs?after=\($0.id)" } : nil
    self.isFirst = isFirst
  }
}

extension JobsPage.Job {
  fileprivate init(_ batch: BatchRecord, now: Timestamp) {
    id = batch.id
    model =
      batch.model.map(BatchText.model) ?? (batch.state == .validating ? "not known yet" : "several")
    kind = BatchText.kind(endpoint: batch.endpoint)
    pool = batch.pool.rawValue
    state = BatchText.state(batch.state)
    tone = BatchText.tone(batch.state)
    let ended = batch.completed + batch.failed
    percent = ProgressText(done: Double(ended), of: Double(batch.total)).percent
    counts = "\(Spelling.count(batch.completed)) of \(Spelling.count(batch.total, "request"))"
    failed = batch.failed > 0 ? "\(Spelling.count(batch.failed)) failed" : nil
    let estimate = batch.times.inProgress.flatMap { began in
      TimeLeft.estimate(
        done: Double(ended), of: Double(batch.total), in: now.seconds(since: began))
    }
    left =
      batch.state == .inProgress
      ? estimate.map { "about " + Spelling.duration($0) } ?? "not known yet" : ""
    created = Spelling.time(batch.times.created)
    createdAt = Spelling.machineTime(batch.times.created)
  }
}

extension JobsPage.Tuning {
  fileprivate init(_ job: FineTuningJobRecord) {
    id = job.id
    model = job.job.model
    pool = job.job.pool.rawValue
    state = TuningText.state(job)
    tone = TuningText.tone(job.state)
    percent = TuningText.progress(job).percent
    rounds = job.plan.map {
      "\(Spelling.count(max(0, job.rounds - 1))) of \(Spelling.count($0.rounds, "round"))"
    } ?? ""
    created = Spelling.time(job.createdAt)
    createdAt = Spelling.machineTime(job.createdAt)
  }
}

extension DashboardRoutes {
  private static let jobsOnAPage = 50

  /// `GET /jobs?after=ID`.
  func jobs(_ visit: PageVisit) async throws -> JobsPage {
    let after = visit.query.after
    do {
      let page = try await environment.store.jobs(after: after, limit: Self.jobsOnAPage)
      let tunings =
        after == nil ? try await environment.store.tuningJobs(limit: Self.jobsOnAPage) : []
      return JobsPage(page, tunings: tunings, isFirst: after == nil, now: environment.now())
    } catch let error as StoreError where error.code == .unknownCursor {
      throw APIError.noSuch("job", after ?? "", param: "after")
    }
  }
}
