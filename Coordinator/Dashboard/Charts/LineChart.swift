import CoordinatorCore
import CoordinatorStore

/// Lines over days, up to four, which differ by dashes and marks and not by colour alone. One line
/// by itself has its area filled.
package struct LineChart: Sendable {
  /// One line.
  package struct Series: Sendable {
    package var name: String
    package var history: [DayContribution]

    package init(name: String, history: [DayContribution]) {
      self.name = name
      self.history = history
    }
  }

  private let id: String
  private let title: String
  private let unit: String
  private let period: ChartPeriod
  private let lines: [(name: String, values: [Double])]
  private let isWhole: Bool

  /// Lines that can be told apart.
  package static let mostSeries = 4
  /// Marks on a line at most, besides its last point.
  private static let mostMarks = 8

  /// - Parameters:
  ///   - id: unique on the page.
  ///   - unit: what is counted, such as `credit`.
  ///   - series: the first four are shown.
  ///   - value: what is shown of a day.
  package init(
    id: String, title: String, unit: String, series: [Series], period: ChartPeriod,
    value: (DayContribution) -> Double
  ) {
    self.id = id
    self.title = title
    self.unit = unit
    self.period = period
    lines = series.prefix(Self.mostSeries).map { ($0.name, period.sums($0.history, value)) }
    isWhole = lines.allSatisfy { $0.values.allSatisfy { $0 == $0.rounded() } }
  }

  /// As HTML; text that came in is escaped.
  package var markup: String {
    guard let largest = lines.compactMap({ $0.values.max() }).max(), largest > 0 else {
      return ChartMarkup.nothing(title: title, period: period.spelled)
    }
    let plot = Plot(period: period, largest: largest, isWhole: isWhole)
    let drawing: [String] = lines.enumerated().map { draw($1.values, number: $0 + 1, in: plot) }
    return ChartMarkup.figure(
      id: id, title: title, summary: summary, legend: legend,
      drawing: ([plot.axes] + drawing).joined(separator: "\n"), table: table)
  }

  /// The essential figures in words.
  package var summary: String {
    let sums: [String] = lines.map { "\($0.name) \(spelled($0.values.reduce(0, +)))" }
    return "\(unit.prefix(1).uppercased() + unit.dropFirst()) \(period.spelled): "
      + sums.joined(separator: ", ") + "."
  }

  private func draw(_ values: [Double], number: Int, in plot: Plot) -> String {
    let points: String = values.enumerated().map { column, value in
      "\(ChartMarkup.number(plot.x(column))),\(ChartMarkup.number(plot.y(value)))"
    }.joined(separator: " ")
    var parts: [String] = []
    if lines.count == 1 {
      let floor = ChartMarkup.number(plot.floor)
      let (start, end) = (plot.x(0), plot.x(values.count - 1))
      parts.append(
        "<polygon class=\"area series-\(number)\" points=\"\(ChartMarkup.number(start)),\(floor) "
          + "\(points) \(ChartMarkup.number(end)),\(floor)\"/>")
    }
    parts.append("<polyline class=\"line series-\(number)\" points=\"\(points)\"/>")
    let every = max(1, values.count / Self.mostMarks)
    let marked = values.indices.filter { (values.count - 1 - $0) % every == 0 }
    parts += marked.map { Self.mark(number, x: plot.x($0), y: plot.y(values[$0])) }
    return parts.joined(separator: "\n")
  }

  /// A shape for each line.
  private static func mark(_ number: Int, x: Double, y: Double) -> String {
    func point(_ dx: Double, _ dy: Double) -> String {
      "\(ChartMarkup.number(x + dx)),\(ChartMarkup.number(y + dy))"
    }
    let name = "class=\"mark series-\(number)\""
    switch number {
    case 1:
      return
        "<circle \(name) cx=\"\(ChartMarkup.number(x))\" cy=\"\(ChartMarkup.number(y))\" r=\"4\"/>"
    case 2:
      return
        "<polygon \(name) points=\"\(point(-4, -4)) \(point(4, -4)) \(point(4, 4)) "
        + "\(point(-4, 4))\"/>"
    case 3: return "<polygon \(name) points=\"\(point(0, -5)) \(point(5, 4)) \(point(-5, 4))\"/>"
    default:
      return
        "<polygon \(name) points=\"\(point(0, -5)) \(point(5, 0)) \(point(0, 5)) "
        + "\(point(-5, 0))\"/>"
    }
  }

  /// Which line is whose; a single line needs none.
  private var legend: String {
    guard lines.count > 1 else { return "" }
    let items: [String] = lines.enumerated().map { index, line in
      """
      <li><svg class="key" viewBox="0 0 40 12" aria-hidden="true">\
      <line class="line series-\(index + 1)" x1="0" x2="40" y1="6" y2="6"/>\
      \(Self.mark(index + 1, x: 20, y: 6))</svg> \(ChartMarkup.escape(line.name))</li>
      """
    }
    return "<ul class=\"legend\">\n\(items.joined(separator: "\n"))\n</ul>\n"
  }

  private var table: String {
    let rows = period.ends.indices.reversed().filter { column in
      lines.contains { $0.values[column] > 0 }
    }.map { column in
      [Spelling.date(period.ends[column])] + lines.map { spelled($0.values[column]) }
    }
    return ChartMarkup.table(header: [period.columnTitle] + lines.map(\.name), rows: rows)
  }

  private func spelled(_ value: Double) -> String {
    isWhole && value < 1e15 ? Spelling.count(Int(value)) : Spelling.amount(value)
  }
}
