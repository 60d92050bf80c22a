import CoordinatorCore
import CoordinatorStore

/// A number with what it counts, and what else there is to say.
struct PageFigure {
  let label: String
  let value: String
  let note: String?
}

/// How pages show what somebody contributed.
enum ContributionText {
  /// The figures that accounts, teams and workers have in common.
  static func figures(_ contribution: Contribution) -> [PageFigure] {
    let wrong = contribution.rejected
    let figures = [
      PageFigure(
        label: "Credit", value: Spelling.amount(contribution.credit),
        note: "200 for a day at one GFLOPS"),
      PageFigure(
        label: "Average credit a day", value: Spelling.amount(contribution.recentAverageCredit),
        note: "of late: a week ago counts half"),
      PageFigure(
        label: "Tokens", value: Spelling.amount(Double(contribution.tokens)),
        note: "generated in verified results"),
      PageFigure(
        label: "Verified results", value: Spelling.count(contribution.accepted),
        note: wrong > 0 ? "\(Spelling.count(wrong)) \(wrong == 1 ? "was" : "were") wrong" : nil),
    ]
    guard contribution.energyJoules > 0 else { return figures }
    return figures + [
      PageFigure(
        label: "Energy", value: Spelling.energy(contribution.energyJoules),
        note: energyNote(contribution.energyJoules, estimated: contribution.estimatedEnergyJoules))
    ]
  }

  /// How energy is known.
  ///
  /// - Parameters:
  ///   - joules: more than 0.
  ///   - estimated: the part of them that workers estimated.
  static func energyNote(_ joules: Double, estimated: Double) -> String {
    switch estimated / joules {
    case ..<0.005: "as the workers measured"
    case 0.995...: "as the workers estimate"
    case let part: "of which \(Int((part * 100).rounded())) % is estimated"
    }
  }

  /// `12.3 credit, 4,567 tokens`.
  static func brief(_ contribution: Contribution) -> String {
    "\(Spelling.amount(contribution.credit)) credit and "
      + "\(Spelling.amount(Double(contribution.tokens))) tokens"
  }
}

/// The length of time that a page's charts show: the last 30, 90 or 365 days.
enum ChartSpan: Int, CaseIterable {
  case month = 30
  case quarter = 90
  case year = 365

  /// A link to another span.
  struct Choice {
    let label: String
    let path: String
    let isCurrent: Bool
  }

  /// As `?days=` says it; a month for anything else.
  init(query: (some StringProtocol)?) {
    self = query.flatMap { Int($0) }.flatMap(ChartSpan.init(rawValue:)) ?? .month
  }

  func period(today: Day) -> ChartPeriod { ChartPeriod(lastDays: rawValue, today: today) }

  /// All of them, for a row of links.
  func choices(_ path: (ChartSpan) -> String) -> [Choice] {
    Self.allCases.map { span in
      Choice(label: "\(span.rawValue) days", path: path(span), isCurrent: span == self)
    }
  }
}
