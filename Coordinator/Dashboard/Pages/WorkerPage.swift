import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore

/// One worker.
struct WorkerPage: PageContent {
  static let template = "worker"
  let title: String
  let name: String
  let id: String
  let account: String
  /// The account's page; nil unless its owner looks.
  let accountPath: String?
  let joined: String
  let text: WorkerText
  let isBusy: Bool
  let figures: [PageFigure]
  let spans: [ChartSpan.Choice]
  let chart: String
  /// Said to the owner of a worker that nobody else sees.
  let privacy: String?

  /// - Parameter chart: markup.
  init(
    _ worker: WorkerOverview, isOwner: Bool, span: ChartSpan, chart: String, now: Timestamp
  ) {
    title = "Worker \(worker.name)"
    name = worker.name
    id = worker.id
    account = worker.accountName
    accountPath = isOwner ? "/accounts/\(worker.accountID)" : nil
    joined = Spelling.date(Day(containing: worker.createdAt))
    text = WorkerText(worker, isOwner: isOwner, now: now)
    isBusy = !text.running.isEmpty
    figures = ContributionText.figures(worker.contribution)
    spans = span.choices {
      "/workers/\(worker.id)" + ($0 == .month ? "" : "?days=\($0.rawValue)")
    }
    self.chart = chart
    privacy =
      switch (worker.isNamed, isOwner) {
      case (true, _): nil
      case (false, true):
        "Only you and the operator see this page: your account is not named in public."
      case (false, false):
        "Only its owner and you see this page: the account is not named in public."
      }
  }
}

extension DashboardRoutes {
  /// `GET /workers/{id}?days=30|90|365`: for everyone where the account agreed to be named, else
  /// for its owner and the operator. Others are answered as if there were none.
  func worker(_ visit: PageVisit) async throws -> WorkerPage {
    let id = try visit.pathID()
    let now = environment.now()
    let worker = try await environment.store.workerOverview(id, now: now)
    let isOwner = worker != nil && worker?.accountID == visit.visitor.account?.account.id
    guard let worker, worker.isNamed || isOwner || visit.visitor.audience == .operator else {
      throw APIError.noSuch("worker", id)
    }
    let span = visit.query.span
    return WorkerPage(
      worker, isOwner: isOwner, span: span,
      chart: try await creditChart(of: .worker(id: id), span: span, now: now), now: now)
  }
}
