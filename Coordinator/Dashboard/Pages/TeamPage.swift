import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore

/// A team with its members.
struct TeamPage: PageContent {
  static let template = "team"
  let title: String
  let name: String
  let since: String
  let figures: [PageFigure]
  let members: [Member]
  let hasMembers: Bool
  let unnamed: String?
  let spans: [ChartSpan.Choice]
  let chart: String

  /// A member that is named.
  struct Member {
    let rank: String
    let name: String
    let isOwn: Bool
    let credit: String
    let average: String
    let tokens: String
    let results: String
  }

  /// Members that are listed at most.
  static let shownMembers = 200

  /// - Parameters:
  ///   - accounts: all of the team's.
  ///   - viewer: the id of the account that is signed in.
  ///   - chart: markup.
  init(
    _ team: StatisticsSnapshot.Team, accounts: [StatisticsSnapshot.Account], span: ChartSpan,
    viewer: String?, chart: String
  ) {
    title = "Team \(team.name)"
    name = team.name
    since = Spelling.date(Day(containing: team.createdAt))
    figures =
      [PageFigure(label: "Members", value: Spelling.count(team.members), note: nil)]
      + ContributionText.figures(team.contribution)
    let ranked = RankedAccount.all(accounts, by: .credit)
    members = ranked.filter(\.account.isNamed).prefix(Self.shownMembers).map {
      Member($0, isOwn: $0.account.id == viewer)
    }
    hasMembers = !members.isEmpty
    let others = accounts.filter { !$0.isNamed }
    unnamed =
      others.isEmpty
      ? nil
      : "\(Spelling.count(others.count, "member")) \(others.count == 1 ? "is" : "are") not named "
        + "and contributed "
        + "\(ContributionText.brief(Contribution(summing: others.map(\.contribution))))."
    spans = span.choices { "/teams/\(team.id)" + ($0 == .month ? "" : "?days=\($0.rawValue)") }
    self.chart = chart
  }
}

extension TeamPage.Member {
  fileprivate init(_ ranked: RankedAccount, isOwn: Bool) {
    let contribution = ranked.account.contribution
    rank = Spelling.count(ranked.rank)
    name = ranked.account.name
    self.isOwn = isOwn
    credit = Spelling.amount(contribution.credit)
    average = Spelling.amount(contribution.recentAverageCredit)
    tokens = Spelling.amount(Double(contribution.tokens))
    results = Spelling.count(contribution.accepted)
  }
}

extension DashboardRoutes {
  /// `GET /teams/{id}?days=30|90|365`.
  func team(_ visit: PageVisit) async throws -> TeamPage {
    let text = try visit.pathID()
    let now = environment.now()
    // One spelling alone: every other would be made again.
    guard let id = Int(text), String(id) == text else { throw APIError.noSuch("team", text) }
    let ranking = try await environment.ranking()
    guard let team = ranking.teams.first(where: { $0.id == id }) else {
      throw APIError.noSuch("team", text)
    }
    let span = visit.query.span
    return TeamPage(
      team, accounts: ranking.accounts.filter { $0.team == team.name }, span: span,
      viewer: visit.visitor.account?.account.id,
      chart: try await creditChart(of: .team(id: id), span: span, now: now))
  }

  /// Credit by day, as markup.
  func creditChart(
    of scope: HistoryScope, span: ChartSpan, now: Timestamp
  ) async throws -> String {
    let period = span.period(today: Day(containing: now))
    return DailyChart(
      id: "credit", title: "Credit \(period.rate)", unit: "credit",
      history: try await environment.store.history(
        of: scope, from: period.first, through: period.last),
      from: period.first, to: period.last
    ) { $0.credit.value }.markup
  }
}
