import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Hummingbird

/// What a page's query chooses. What a page does not know counts as not given, and so does what is
/// out of bounds: different queries for the same page are equal.
struct PageQuery: Hashable, Sendable {
  /// `by`: what a ranking goes by.
  var order = RankingOrder.credit
  /// `page`, from 1.
  var page = 1
  /// `days` that a chart shows.
  var span = ChartSpan.month
  /// `after`: the last item of the page before.
  var after: String?
  /// `saved=yes`: that a form was stored.
  var saved = false

  /// A parameter that a page knows.
  enum Parameter { case by, page, days, after, saved }

  private static let pages = 1...100_000
  private static let longestID = 64

  init() {}

  init(_ request: Request, known: Set<Parameter>) {
    let query = request.uri.queryParameters
    func text(_ parameter: Parameter, _ name: Substring) -> Substring? {
      known.contains(parameter) ? query[name] : nil
    }
    order = text(.by, "by").flatMap { RankingOrder(rawValue: String($0)) } ?? .credit
    page = text(.page, "page").flatMap { Int($0) }.map {
      min(max($0, Self.pages.lowerBound), Self.pages.upperBound)
    } ?? 1
    span = ChartSpan(query: text(.days, "days"))
    after = text(.after, "after").map { String($0.prefix(Self.longestID)) }
      .flatMap { $0.holdsNUL ? nil : $0 }
    saved = text(.saved, "saved") == "yes"
  }

  /// Equal for equal queries alone.
  var key: String { "\(order.rawValue) \(page) \(span.rawValue) \(saved) \(after ?? "")" }
}
