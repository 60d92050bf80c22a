import CoordinatorStatistics
import Testing

@Suite("Metrics")
struct MetricsTests {
  @Test("labels and help are escaped as Prometheus' format says")
  func escaping() {
    var text = MetricsText()
    text.metric("a", .gauge, "one\ntwo \\", [([("path", "C:\\ \"x\"\n")], 1.5), ([], .infinity)])
    #expect(
      text.text == """
        # HELP a one\\ntwo \\\\
        # TYPE a gauge
        a{path="C:\\\\ \\"x\\"\\n"} 1.5
        a +Inf

        """)
  }

  @Test("requests are counted by route and status, and their times in growing buckets")
  func requests() {
    let metrics = RequestMetrics()
    for seconds in [0.0005, 0.01, 0.01, 60] {
      metrics.record(method: "GET", route: "/v1/files/{id}", status: 200, seconds: seconds)
    }
    metrics.record(method: "GET", route: "/v1/files/{id}", status: 404, seconds: 0.01)
    var text = MetricsText()
    metrics.write(to: &text)
    let lines = text.text.split(separator: "\n")
    let route = "route=\"/v1/files/{id}\""
    #expect(
      lines.contains("tally_http_requests_total{method=\"GET\",\(route),status=\"200\"} 4"))
    #expect(
      lines.contains("tally_http_requests_total{method=\"GET\",\(route),status=\"404\"} 1"))
    let name = "tally_http_request_duration_seconds"
    for (bound, count) in [("0.001", 1), ("0.025", 4), ("10.0", 4), ("+Inf", 5)] {
      #expect(lines.contains("\(name)_bucket{\(route),le=\"\(bound)\"} \(count)"))
    }
    #expect(lines.contains("\(name)_count{\(route)} 5"))
  }
}
