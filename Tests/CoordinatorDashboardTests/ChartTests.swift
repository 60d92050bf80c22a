import CoordinatorCore
import CoordinatorDashboard
import CoordinatorStore
import Foundation
import FoundationXML
import TestSupport
import Testing

@Suite("Charts")
struct ChartTests {
  private static let last = Day(number: 20_785)

  private func day(_ ago: Int, tokens: Int = 0, credit: Double = 0) -> DayContribution {
    DayContribution(
      day: Self.last.adding(days: -ago), accepted: 1, rejected: 0, tokens: tokens,
      credit: Credit(micro: Int64(credit * 1e6)))
  }

  private func daily(
    _ history: [DayContribution], days: Int = 30, title: String = "Tokens by day"
  ) -> DailyChart {
    DailyChart(
      id: "tokens", title: title, unit: "tokens", history: history,
      from: Self.last.adding(days: 1 - days), to: Self.last
    ) { Double($0.tokens) }
  }

  private func parse(_ markup: String) throws -> XMLElement {
    try #require(try XMLDocument(xmlString: markup, options: []).rootElement())
  }

  private func texts(_ path: String, in markup: String) throws -> [String] {
    try parse(markup).nodes(forXPath: path).map { $0.stringValue ?? "" }
  }

  @Test(
    "ticks are round, few, and reach the largest value", arguments: 1...3 as ClosedRange<UInt64>)
  func ticksAreRound(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for _ in 0..<2_000 {
      let largest = pow(10, Double.random(in: -8...20, using: &random))
      let isWhole = random.chance(0.5)
      let ticks = AxisTicks(covering: largest, isWhole: isWhole)
      #expect(ticks.values.first == 0 && ticks.top >= largest * (1 - 1e-8), "\(largest)")
      #expect(ticks.values.count <= 7 && ticks.values.count >= 2, "\(largest)")
      #expect(isWhole || ticks.top <= largest * 2.3, "\(largest)")
      // The step is 1, 2 or 5 times a power of ten.
      let step = ticks.values[1]
      let digit = step / pow(10, (log10(step) + 1e-9).rounded(.down))
      #expect([1.0, 2, 5, 10].contains { abs($0 - digit) < 1e-6 }, "\(largest): \(step)")
      #expect(Set(ticks.labels).count == ticks.labels.count, "\(ticks.labels)")
      #expect(!isWhole || ticks.values.allSatisfy { $0 == $0.rounded() }, "\(ticks.values)")
    }
  }

  @Test(
    "ticks share a scale",
    arguments: [
      (1_150_000, ["0", "0.5 M", "1 M", "1.5 M"]), (0.03, ["0", "0.01", "0.02", "0.03"]),
      (3, ["0", "1", "2", "3"]), (4_200, ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
      (9e18, ["0", "2 E", "4 E", "6 E", "8 E", "10 E"]), (0, ["0", "0.5", "1"]),
    ] as [(Double, [String])])
  func tickLabels(_ largest: Double, _ labels: [String]) {
    #expect(AxisTicks(covering: largest).labels == labels)
  }

  @Test(
    "numbers that are none do no harm",
    arguments: [.nan, .infinity, -3, 0, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
      as [Double])
  func oddMaxima(_ largest: Double) {
    let ticks = AxisTicks(covering: largest)
    #expect(ticks.top > 0 && ticks.top.isFinite && ticks.values.count >= 2)
  }

  @Test("a chart says its figures in words and has them as a table")
  func dailyChart() throws {
    let chart = daily([day(0, tokens: 1_200), day(3, tokens: 34), day(29, tokens: 6)])
    let words =
      "1,240 tokens from 30 Oct 2026 to 28 Nov 2026; most on 28 Nov 2026: 1,200; nothing on 27 "
      + "days."
    #expect(chart.summary == words)
    let markup = chart.markup
    let svg = try #require(
      try parse(markup).nodes(forXPath: "//*[local-name()='svg']").first as? XMLElement)
    #expect(svg.attribute(forName: "role")?.stringValue == "img")
    #expect(svg.attribute(forName: "aria-labelledby")?.stringValue == "tokens-title tokens-text")
    #expect(try texts("//*[@id='tokens-title']", in: markup) == ["Tokens by day"])
    #expect(try texts("//*[@id='tokens-text']", in: markup) == [words])
    #expect(
      try texts("//*[local-name()='rect']/*[local-name()='title']", in: markup)
        == ["30 Oct 2026: 6 tokens", "25 Nov 2026: 34 tokens", "28 Nov 2026: 1,200 tokens"])
    #expect(
      try texts("//details//tbody/tr/*", in: markup)
        == ["28 Nov 2026", "1,200", "25 Nov 2026", "34", "30 Oct 2026", "6"])
    #expect(!markup.contains("style=") && !markup.contains("<script"))
  }

  @Test("what lies outside of the period, or is no number, counts for nothing")
  func outside() throws {
    #expect(
      daily([day(30, tokens: 5), day(-1, tokens: 7), day(2, tokens: 1)]).summary
        .hasPrefix("1 tokens from"))
    let odd = DailyChart(
      id: "x", title: "x", unit: "x", history: [day(0, tokens: 1), day(1, tokens: 2)],
      from: Self.last.adding(days: -1), to: Self.last
    ) { $0.tokens == 1 ? .nan : 3 }
    #expect(odd.summary.hasPrefix("3 x from"))
    _ = try parse(odd.markup)
  }

  @Test("without data it says so in words, and draws nothing", arguments: [false, true])
  func empty(hasZeroDay: Bool) throws {
    let markup = daily(hasZeroDay ? [day(0)] : []).markup
    let words = try #require(try parse(markup).stringValue)
    #expect(words.contains("Nothing yet from 30 Oct 2026"))
    #expect(!markup.contains("<svg"))
  }

  @Test("one value, one day, and huge values are drawn inside of the picture")
  func extremes() throws {
    for history in [[day(0, tokens: 1)], [day(0, tokens: .max), day(1, tokens: 1)]] {
      for days in [1, 30, 92, 93, 366, 3_660] {
        let markup = daily(history, days: days).markup
        for rect in try parse(markup).nodes(forXPath: "//*[local-name()='rect']") {
          let rect = try #require(rect as? XMLElement)
          func number(_ name: String) throws -> Double {
            try #require(Double(rect.attribute(forName: name)?.stringValue ?? ""))
          }
          let (x, y, width, height) = try (
            number("x"), number("y"), number("width"), number("height")
          )
          #expect(x >= 62 && x + width <= 633 && y >= 11.9 && height >= 1 && y + height <= 192.2)
        }
      }
    }
    #expect(daily([day(0, tokens: 1)], days: 1).summary == "1 tokens on 28 Nov 2026.")
  }

  @Test("a year is drawn in weeks, and the sum stays")
  func weeks() throws {
    let history = (0..<365).map { day($0, tokens: 2) }
    let chart = daily(history, days: 365)
    #expect(
      chart.summary.hasPrefix("730 tokens from 29 Nov 2025 to 28 Nov 2026; most in the 7 days"))
    let cells = try texts("//details//tbody//td", in: chart.markup)
    #expect(cells.count == 53 && cells.compactMap(Int.init).reduce(0, +) == 730)
    #expect(chart.markup.utf8.count < 20_000)
  }

  @Test("names of people cannot become markup")
  func escapes() throws {
    let nasty = "<script>alert('1')</script> & \"Ann\"\u{0}\u{1b}"
    let lines = LineChart(
      id: "top", title: nasty, unit: "credit",
      series: [
        .init(name: nasty, history: [day(0, credit: 2)]),
        .init(name: "b", history: [day(1, credit: 1)]),
      ], period: ChartPeriod(lastDays: 30, today: Self.last)
    ) { $0.credit.value }
    let spark = Sparkline(
      name: nasty, history: [day(0, tokens: 3)],
      period: ChartPeriod(lastDays: 30, today: Self.last)
    ) { Double($0.tokens) }
    for markup in [lines.markup, daily([day(0, tokens: 3)], title: nasty).markup, spark.markup] {
      let root = try parse(markup)
      #expect(try root.nodes(forXPath: "//*[local-name()='script']").isEmpty)
      #expect(!markup.contains("<script"))
    }
    let name = nasty.replacingOccurrences(of: "\u{0}\u{1b}", with: "  ")
    #expect(try texts("//*[@id='top-title']", in: lines.markup) == [name])
  }

  @Test("lines differ by class and mark, and the legend names them in order")
  func lineChart() throws {
    let series = (1...5).map {
      LineChart.Series(name: "account \($0)", history: [day($0, credit: Double($0) + 0.25)])
    }
    let markup = LineChart(
      id: "top", title: "Credit", unit: "credit", series: series,
      period: ChartPeriod(lastDays: 30, today: Self.last)
    ) { $0.credit.value }.markup
    let legend = try texts("//ul[@class='legend']/li", in: markup)
    #expect(
      legend.map { $0.trimmingCharacters(in: .whitespaces) } == (1...4).map { "account \($0)" })
    for number in 1...4 {
      let lines = try parse(markup).nodes(
        forXPath: "//*[local-name()='polyline'][@class='line series-\(number)']")
      #expect(lines.count == 1)
    }
    #expect(!markup.contains("series-5"))
    #expect(
      try texts("//*[@id='top-text']", in: markup) == [
        "Credit from 30 Oct 2026 to 28 Nov 2026: account 1 1.25, account 2 2.25, account 3 3.25, "
          + "account 4 4.25."
      ])
    // A line by itself has an area, and needs no legend.
    let single = LineChart(
      id: "one", title: "Credit", unit: "credit", series: [series[0]],
      period: ChartPeriod(lastDays: 30, today: Self.last)
    ) { $0.credit.value }.markup
    #expect(single.contains("area series-1") && !single.contains("legend"))
  }
}
