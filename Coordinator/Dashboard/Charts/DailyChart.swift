import CoordinatorCore
import CoordinatorStore

/// Bars for what was contributed on each day; a day without anything has none.
package struct DailyChart: Sendable {
  private let id: String
  private let title: String
  private let unit: String
  private let period: ChartPeriod
  private let values: [Double]
  private let isWhole: Bool

  /// - Parameters:
  ///   - id: unique on the page.
  ///   - unit: what is counted, such as `tokens`.
  ///   - history: in any order; days outside of the period are left out.
  ///   - value: what is shown of a day.
  package init(
    id: String, title: String, unit: String, history: [DayContribution], from first: Day,
    to last: Day, value: (DayContribution) -> Double
  ) {
    self.id = id
    self.title = title
    self.unit = unit
    period = ChartPeriod(from: first, through: last)
    values = period.sums(history, value)
    isWhole = values.allSatisfy { $0 == $0.rounded() }
  }

  /// As HTML; text that came in is escaped.
  package var markup: String {
    guard let largest = values.max(), largest > 0 else {
      return ChartMarkup.nothing(title: title, period: period.spelled)
    }
    let plot = Plot(period: period, largest: largest, isWhole: isWhole)
    return ChartMarkup.figure(
      id: id, title: title, summary: summary(largest), drawing: plot.axes + "\n" + bars(plot),
      table: table)
  }

  /// The essential figures in words.
  package var summary: String { summary(values.max() ?? 0) }

  private func summary(_ largest: Double) -> String {
    let all = "\(spelled(values.reduce(0, +))) \(unit) \(period.spelled)"
    guard values.count > 1, let most = values.firstIndex(of: largest) else { return all + "." }
    let date = Spelling.date(period.ends[most])
    let when = period.daysEach == 1 ? "on \(date)" : "in the \(period.daysEach) days up to \(date)"
    let gaps = values.count { $0 == 0 }
    let none =
      switch (gaps, period.daysEach) {
      case (0, _): ""
      case (_, 1): "; nothing on \(Spelling.count(gaps, "day"))"
      default: "; nothing in \(Spelling.count(gaps, "week"))"
      }
    return "\(all); most \(when): \(spelled(largest))\(none)."
  }

  private func bars(_ plot: Plot) -> String {
    let width = max(0.8, plot.columnWidth * 0.76)
    return values.enumerated().filter { $0.element > 0 }.map { column, value in
      // What is more than nothing is seen.
      let top = min(plot.y(value), plot.floor - 1)
      let x = ChartMarkup.number(plot.x(column) - width / 2)
      let name = ChartMarkup.escape(
        "\(Spelling.date(period.ends[column])): \(spelled(value)) \(unit)")
      return """
        <rect class="series-1" x="\(x)" y="\(ChartMarkup.number(top))" \
        width="\(ChartMarkup.number(width))" height="\(ChartMarkup.number(plot.floor - top))">\
        <title>\(name)</title></rect>
        """
    }.joined(separator: "\n")
  }

  /// Days on which there was something, newest first.
  private var table: String {
    let rows = zip(period.ends, values).reversed().filter { $0.1 > 0 }.map {
      [Spelling.date($0.0), spelled($0.1)]
    }
    return ChartMarkup.table(header: [period.columnTitle, unit], rows: rows)
  }

  private func spelled(_ value: Double) -> String {
    isWhole && value < 1e15 ? Spelling.count(Int(value)) : Spelling.amount(value)
  }
}
