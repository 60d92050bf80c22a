import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird

/// An account with its workers, for its owner alone.
struct AccountPage: PageContent {
  static let template = "account"
  let title: String
  let name: String
  let joined: String
  /// Why it gets no work; nil when it does.
  let ban: String?
  let figures: [PageFigure]
  let badges: [String]
  let hasBadges: Bool
  let workers: [Worker]
  let hasWorkers: Bool
  let moreWorkers: String?
  let invitations: String
  let spans: [ChartSpan.Choice]
  let chart: String
  let settings: Settings

  /// A line of the table of workers.
  struct Worker {
    let path: String
    let name: String
    let text: WorkerText
    let credit: String
    let tokens: String
    let results: String
    let spark: String
  }

  /// What the form is filled with.
  struct Settings {
    var isPublic: Bool
    var team: String
    var country: String
    var url: String
    /// That a change was stored.
    var saved = false
    /// What was wrong with a change; nil when nothing was.
    var problem: String?

    init(_ profile: AccountProfile) {
      isPublic = profile.isNamed
      team = profile.team ?? ""
      country = profile.country ?? ""
      url = profile.url ?? ""
    }
  }

  /// Workers that are listed at most.
  static let shownWorkers = 100

  /// - Parameters:
  ///   - sparks: each worker's last days, as markup, by id.
  ///   - chart: markup.
  init(
    _ account: AccountOverview, settings: Settings, span: ChartSpan, sparks: [String: String],
    chart: String, now: Timestamp
  ) {
    let profile = account.profile
    title = profile.account.name
    name = profile.account.name
    joined = Spelling.date(Day(containing: profile.account.createdAt))
    ban = account.ban.map { ban in
      "The operator has banned this account\(ban.reason.isEmpty ? "." : ": \(ban.reason)")"
    }
    figures =
      [
        PageFigure(
          label: "Rank", value: Spelling.count(account.rank),
          note: "of \(Spelling.count(account.accounts, "account")), by credit")
      ] + ContributionText.figures(account.contribution) + [Self.streak(account)]
    badges = account.badges.map(\.title)
    hasBadges = !badges.isEmpty
    workers = account.workers.prefix(Self.shownWorkers).map {
      Worker($0, spark: sparks[$0.id] ?? "", now: now)
    }
    hasWorkers = !workers.isEmpty
    let hidden = account.workers.count - workers.count
    moreWorkers = hidden > 0 ? "\(Spelling.count(hidden, "worker")) more, seen longer ago." : nil
    invitations = Self.invitations(account, now: now)
    spans = span.choices {
      "/accounts/\(profile.account.id)" + ($0 == .month ? "" : "?days=\($0.rawValue)")
    }
    self.chart = chart
    self.settings = settings
  }

  private static func streak(_ account: AccountOverview) -> PageFigure {
    PageFigure(
      label: "Days in a row", value: Spelling.count(account.streakDays),
      note: "with a verified result; \(Spelling.count(account.longestStreakDays)) at most so far")
  }

  private static func invitations(_ account: AccountOverview, now: Timestamp) -> String {
    guard account.invitationsLeft > 0, let end = account.invitationsEnd else {
      return "No invitation is open. For another machine, ask the operator for one."
    }
    return
      "\(Spelling.count(account.invitationsLeft, "more machine")) may join with the invitations "
      + "that you have; the last of them ends in \(Spelling.duration(end.seconds(since: now)))."
  }
}

extension AccountPage.Worker {
  fileprivate init(_ worker: WorkerOverview, spark: String, now: Timestamp) {
    path = "/workers/\(worker.id)"
    name = worker.name
    text = WorkerText(worker, isOwner: true, now: now)
    credit = Spelling.amount(worker.contribution.credit)
    tokens = Spelling.amount(Double(worker.contribution.tokens))
    results = Spelling.count(worker.contribution.accepted)
    self.spark = spark
  }
}

extension DashboardRoutes {
  /// Workers whose last days are drawn.
  private static let drawnWorkers = 20

  /// `GET /accounts/{id}?days=30|90|365`: for who has its key. Others are answered as if there were
  /// none.
  func account(_ visit: PageVisit) async throws -> AccountPage {
    let id = try visit.pathID()
    guard let viewer = visit.visitor.account else { throw SignInNeeded() }
    guard viewer.account.id == id else { throw APIError.noSuch("account", id) }
    var settings = AccountPage.Settings(viewer)
    settings.saved = visit.query.saved
    return try await accountPage(
      of: viewer, settings: settings, span: visit.query.span)
  }

  /// `POST /account`: what its owner wants known of an account.
  @Sendable func changeAccount(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try await pages.answering(request, section: nil) {
      try request.requireSameSite()
      let visitor = try await pages.accounts.visitor(of: request)
      guard let viewer = visitor.account else { throw SignInNeeded() }
      let form = try await Form(request)
      var settings = AccountPage.Settings(viewer)
      settings.isPublic = form["public"] != nil
      settings.team = form["team"] ?? settings.team
      settings.country = form["country"] ?? settings.country
      settings.url = form["url"] ?? settings.url
      do {
        _ = try await environment.store.changeAccount(
          named: viewer.account.name,
          AccountChange(
            isNamed: settings.isPublic, team: settings.team, country: settings.country,
            url: settings.url, teamPauseSeconds: AccountChange.ownersTeamPauseSeconds),
          now: environment.now())
        return Self.goTo("/accounts/\(viewer.account.id)?saved=yes#settings")
      } catch let error as StoreError 
        where [.invalid, .conflict, .tooSoon].contains(error.code)
      {
        settings.problem = error.message
        return try await pages.page(
          try await accountPage(of: viewer, settings: settings, span: .month), section: nil,
          visitor: visitor, status: .badRequest)
      }
    }
  }

  private func accountPage(
    of viewer: AccountProfile, settings: AccountPage.Settings, span: ChartSpan
  ) async throws -> AccountPage {
    let now = environment.now()
    let id = viewer.account.id
    let account = try await environment.store.accountOverview(id, now: now)
    let period = ChartSpan.month.period(today: Day(containing: now))
    var sparks: [String: String] = [:]
    for worker in account.workers.prefix(Self.drawnWorkers) {
      let history = try await environment.store.history(
        of: .worker(id: worker.id), from: period.first, through: period.last)
      sparks[worker.id] =
        Sparkline(
          name: "Credit a day of \(worker.name), last 30 days", history: history, period: period
        ) { $0.credit.value }.markup
    }
    return AccountPage(
      account, settings: settings, span: span, sparks: sparks,
      chart: try await creditChart(of: .account(id: id), span: span, now: now), now: now)
  }
}
