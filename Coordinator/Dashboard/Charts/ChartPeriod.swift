import CoordinatorCore
import CoordinatorStore

/// The days that a chart shows, each by itself or, when there are many, in weeks.
package struct ChartPeriod: Hashable, Sendable {
  package let first: Day
  package let last: Day
  /// The last day of each column, in order.
  package let ends: [Day]
  /// Days of a column; the first column may hold fewer.
  package let daysEach: Int

  /// Days that are drawn by themselves at most.
  package static let mostSingleDays = 92

  /// - Parameter last: not before `first`; a period that ends before it begins has one day.
  package init(from first: Day, through last: Day) {
    self.first = first
    self.last = max(first, last)
    let days = self.last.number - first.number + 1
    daysEach = days > Self.mostSingleDays ? 7 : 1
    let columns = (days + daysEach - 1) / daysEach
    let each = daysEach
    let end = self.last
    ends = (0..<columns).reversed().map { end.adding(days: -$0 * each) }
  }

  /// The last `days` days up to `today`.
  package init(lastDays days: Int, today: Day) {
    self.init(from: today.adding(days: 1 - days), through: today)
  }

  /// What each column adds up to; days that the history has nothing of count 0, those outside of
  /// the period not at all.
  package func sums(
    _ history: [DayContribution], _ value: (DayContribution) -> Double
  ) -> [Double] {
    var sums = [Double](repeating: 0, count: ends.count)
    for day in history where day.day >= first && day.day <= last {
      let amount = value(day)
      let column = ends.count - 1 - (last.number - day.day.number) / daysEach
      if amount.isFinite, amount > 0 { sums[column] += amount }
    }
    return sums
  }

  /// `a day` or `in 7 days`.
  var rate: String { daysEach == 1 ? "a day" : "in \(daysEach) days" }

  /// What the columns are called in a table.
  var columnTitle: String { daysEach == 1 ? "Day" : "\(daysEach) days up to" }

  /// `from 30 Oct 2026 to 28 Nov 2026`.
  var spelled: String {
    first == last
      ? "on \(Spelling.date(last))" : "from \(Spelling.date(first)) to \(Spelling.date(last))"
  }
}

extension Spelling {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// `28 Nov`.
  static func shortDate(_ day: Day) -> String {
    let parts = day.spelled.split(separator: "-").compactMap { Int($0) }
    guard parts.count == 3, (1...12).contains(parts[1]) else { return day.spelled }
    return "\(parts[2]) \(months[parts[1] - 1])"
  }

  /// `28 Nov 2026`.
  static func date(_ day: Day) -> String { "\(shortDate(day)) \(day.spelled.prefix(4))" }
}
