import CoordinatorCore
import CoordinatorStore

/// Who contributed most, of those who agreed to be named, and teams.
struct LeaderboardPage: PageContent {
  static let template = "leaderboard"
  let title = "Leaderboard"
  let asOf: String
  let asOfTime: String
  let orders: [Order]
  let rows: [Row]
  let hasRows: Bool
  let unnamed: String?
  /// Where the one who is signed in stands; for nobody else to see.
  let own: String?
  let shown: String?
  let before: String?
  let after: String?
  let spans: [ChartSpan.Choice]
  let chart: String?
  let teams: [Team]
  let hasTeams: Bool

  /// A way to sort the table.
  struct Order {
    let label: String
    let path: String
    let isCurrent: Bool
  }

  /// An account.
  struct Row {
    let rank: String
    let name: String
    let isOwn: Bool
    let team: String?
    let teamPath: String?
    let credit: String
    let average: String
    let tokens: String
    let results: String
    let streak: String
    let badges: String
    let badgeTitles: String
  }

  /// A team.
  struct Team {
    let path: String
    let name: String
    let members: String
    let credit: String
    let average: String
    let tokens: String
  }

  static let rowsOnAPage = 50
  static let shownTeams = 50

  /// What a visitor chose.
  struct Choice {
    var order = RankingOrder.credit
    /// From 1.
    var page = 1
    var span = ChartSpan.month

    /// The address that shows this.
    var path: String {
      var parts: [String] = []
      if order != .credit { parts.append("by=\(order.rawValue)") }
      if page != 1 { parts.append("page=\(page)") }
      if span != .month { parts.append("days=\(span.rawValue)") }
      return "/leaderboard" + (parts.isEmpty ? "" : "?" + parts.joined(separator: "&"))
    }

    func with(_ change: (inout Choice) -> Void) -> String {
      var other = self
      change(&other)
      return other.path
    }
  }

  /// Everything that pages in one order show.
  struct Standing: Sendable {
    let ranking: Ranking
    let ranked: [RankedAccount]
    /// Those of them that agreed to be named.
    let named: [RankedAccount]
    /// Markup; nil when nobody is named.
    let chart: String?

    /// Pages that the named ones fill.
    var pages: Int {
      max(1, (named.count + LeaderboardPage.rowsOnAPage - 1) / LeaderboardPage.rowsOnAPage)
    }
  }

  /// - Parameters:
  ///   - choice: a page after the last one shows the last one.
  ///   - viewer: the id of the account that is signed in.
  init(_ standing: Standing, choice: Choice, viewer: String?) {
    let (ranking, ranked, named) = (standing.ranking, standing.ranked, standing.named)
    asOf = Spelling.time(ranking.takenAt)
    asOfTime = Spelling.machineTime(ranking.takenAt)
    orders = RankingOrder.allCases.map { order in
      Order(
        label: Self.label(order), path: choice.with { ($0.order, $0.page) = (order, 1) },
        isCurrent: order == choice.order)
    }
    let teamIDs = Dictionary(
      ranking.teams.map { ($0.name, $0.id) }, uniquingKeysWith: { first, _ in first })
    let pages = standing.pages
    let page = min(choice.page, pages)
    let first = (page - 1) * Self.rowsOnAPage
    rows = named.dropFirst(first).prefix(Self.rowsOnAPage).map {
      Row($0, isOwn: $0.account.id == viewer, teamID: $0.account.team.flatMap { teamIDs[$0] })
    }
    hasRows = !rows.isEmpty
    shown =
      pages > 1
      ? "Accounts \(Spelling.count(first + 1)) to \(Spelling.count(first + rows.count)) of "
        + "\(Spelling.count(named.count)) that are named." : nil
    before = page > 1 ? choice.with { $0.page = page - 1 } : nil
    after = page < pages ? choice.with { $0.page = page + 1 } : nil
    unnamed = Self.unnamed(ranked.map(\.account).filter { !$0.isNamed })
    own = ranked.first { $0.account.id == viewer }.map { Self.own($0, of: ranked.count) }
    spans = choice.span.choices { span in choice.with { $0.span = span } }
    chart = standing.chart
    teams = ranking.teams.filter { $0.members > 0 }.prefix(Self.shownTeams).map(Team.init)
    hasTeams = !teams.isEmpty
  }

  private static func label(_ order: RankingOrder) -> String {
    switch order {
    case .credit: "credit"
    case .average: "recent average"
    case .tokens: "tokens"
    }
  }

  private static func unnamed(_ accounts: [StatisticsSnapshot.Account]) -> String? {
    guard !accounts.isEmpty else { return nil }
    let sum = Contribution(summing: accounts.map(\.contribution))
    let verb = accounts.count == 1 ? "is" : "are"
    return "\(Spelling.count(accounts.count, "account")) \(verb) not named and contributed "
      + "\(ContributionText.brief(sum))\(accounts.count == 1 ? "" : " together")."
  }

  private static func own(_ ranked: RankedAccount, of count: Int) -> String {
    let place =
      "Your account \(ranked.account.name) is number \(Spelling.count(ranked.rank)) of "
      + "\(Spelling.count(count))"
    return ranked.account.isNamed
      ? place + "." : place + ". You alone see this line: it is not named in public."
  }
}

extension LeaderboardPage.Row {
  fileprivate init(_ ranked: RankedAccount, isOwn: Bool, teamID: Int?) {
    let account = ranked.account
    rank = Spelling.count(ranked.rank)
    name = account.name
    self.isOwn = isOwn
    team = account.team
    teamPath = teamID.map { "/teams/\($0)" }
    credit = Spelling.amount(account.contribution.credit)
    average = Spelling.amount(account.contribution.recentAverageCredit)
    tokens = Spelling.amount(Double(account.contribution.tokens))
    results = Spelling.count(account.contribution.accepted)
    streak = account.streakDays > 0 ? Spelling.count(account.streakDays, "day") : ""
    badges = account.badges.isEmpty ? "" : Spelling.count(account.badges.count)
    badgeTitles = account.badges.map(\.title).joined(separator: ", ")
  }
}

extension LeaderboardPage.Team {
  fileprivate init(_ team: StatisticsSnapshot.Team) {
    path = "/teams/\(team.id)"
    name = team.name
    members = Spelling.count(team.members)
    credit = Spelling.amount(team.contribution.credit)
    average = Spelling.amount(team.contribution.recentAverageCredit)
    tokens = Spelling.amount(Double(team.contribution.tokens))
  }
}

extension DashboardRoutes {
  /// `GET /leaderboard?by=credit|average|tokens&page=2&days=30|90|365`; anything else is the
  /// default.
  func leaderboard(_ visit: PageVisit) async throws -> LeaderboardPage {
    var choice = LeaderboardPage.Choice()
    choice.order = visit.query.order
    choice.page = visit.query.page
    choice.span = visit.query.span
    return LeaderboardPage(
      try await standing(choice.order, choice.span), choice: choice,
      viewer: visit.visitor.account?.account.id)
  }

  /// A page after the last one is the last one.
  @Sendable func lastPage(_ query: PageQuery) async throws -> PageQuery {
    guard query.page > 1 else { return query }
    var query = query
    query.page = min(query.page, try await standing(query.order, query.span).pages)
    return query
  }

  /// Who stands where, as it was a moment ago.
  private func standing(
    _ order: RankingOrder, _ span: ChartSpan
  ) async throws -> LeaderboardPage.Standing {
    try await standings.value(for: "\(order.rawValue) \(span.rawValue)") {
      let ranking = try await environment.ranking()
      let ranked = RankedAccount.all(ranking.accounts, by: order)
      let chart = try await leadersChart(
        ranked, order: order, span: span, now: environment.now())
      return LeaderboardPage.Standing(
        ranking: ranking, ranked: ranked, named: ranked.filter(\.account.isNamed), chart: chart)
    }
  }

  /// The first accounts over time; nil when nobody is named.
  private func leadersChart(
    _ ranked: [RankedAccount], order: RankingOrder, span: ChartSpan, now: Timestamp
  ) async throws -> String? {
    let leaders = ranked.map(\.account).filter { $0.isNamed && $0.contribution.accepted > 0 }
      .prefix(LineChart.mostSeries)
    guard !leaders.isEmpty else { return nil }
    let period = span.period(today: Day(containing: now))
    var series: [LineChart.Series] = []
    for leader in leaders {
      let history = try await environment.store.history(
        of: .account(id: leader.id), from: period.first, through: period.last)
      series.append(LineChart.Series(name: leader.name, history: history))
    }
    let isTokens = order == .tokens
    let unit = isTokens ? "tokens" : "credit"
    let who = leaders.count == 1 ? leaders[0].name : "the first \(leaders.count) named accounts"
    return LineChart(
      id: "leaders", title: "\(isTokens ? "Tokens" : "Credit") \(period.rate) of \(who)",
      unit: unit, series: series, period: period
    ) { isTokens ? Double($0.tokens) : $0.credit.value }.markup
  }
}
