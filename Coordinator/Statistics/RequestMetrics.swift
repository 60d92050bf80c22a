import Synchronization

/// Counts and times of the requests that a coordinator answered, since it was started. Labels come
/// from the table of routes, never from a request, so that nobody can make their number grow.
package final class RequestMetrics: Sendable {
  private struct Key: Hashable, Comparable {
    var method: String
    var route: String
    var status: Int

    static func < (left: Key, right: Key) -> Bool {
      (left.route, left.method, left.status) < (right.route, right.method, right.status)
    }
  }

  private struct Times {
    /// Requests within each of the bounds, and beyond the last.
    var counts = [Int](repeating: 0, count: RequestMetrics.bounds.count + 1)
    var sum = 0.0
  }

  private struct State {
    var requests: [Key: Int] = [:]
    var times: [String: Times] = [:]
  }

  /// Upper bounds of the histogram, in seconds.
  static let bounds = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10]

  private let state = Mutex(State())

  package init() {}

  /// Counts a request.
  ///
  /// - Parameters:
  ///   - route: the route's pattern, such as `/v1/batches/{id}`.
  ///   - seconds: until the head of the answer.
  package func record(method: String, route: String, status: Int, seconds: Double) {
    state.withLock { state in
      state.requests[Key(method: method, route: route, status: status), default: 0] += 1
      let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
      state.times[route, default: Times()].counts[bucket] += 1
      state.times[route, default: Times()].sum += seconds
    }
  }

  package func write(to text: inout MetricsText) {
    let (requests, times) = state.withLock { ($0.requests, $0.times) }
    text.metric(
      "tally_http_requests_total", .counter, "Requests answered, by route and status.",
      requests.sorted { $0.key < $1.key }.map { key, count in
        (
          [("method", key.method), ("route", key.route), ("status", "\(key.status)")],
          Double(count)
        )
      })
    let name = "tally_http_request_duration_seconds"
    text.header(name, .histogram, "Seconds until the head of the answer, by route.")
    for (route, times) in times.sorted(by: { $0.key < $1.key }) {
      var count = 0
      for (index, bound) in (Self.bounds + [.infinity]).enumerated() {
        count += times.counts[index]
        text.sample(
          "\(name)_bucket",
          [("route", route), ("le", bound.isInfinite ? "+Inf" : "\(bound)")], Double(count))
      }
      text.sample("\(name)_sum", [("route", route)], times.sum)
      text.sample("\(name)_count", [("route", route)], Double(count))
    }
  }
}
