/// Writes Prometheus' text format, version 0.0.4: for each metric a help line, its type, and
/// samples.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
package struct MetricsText: Sendable {
  package enum Kind: String, Sendable {
    case counter, gauge, histogram
  }

  package private(set) var text = ""

  package init() {}

  /// One metric with a sample for each set of labels.
  package mutating func metric(
    _ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: [(String, String)], Double)]
  ) {
    header(name, kind, help)
    for (labels, value) in samples { sample(name, labels, value) }
  }

  /// One metric without labels.
  package mutating func metric(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
    metric(name, kind, help, [([], value)])
  }

  /// The lines that begin a metric; its samples follow.
  package mutating func header(_ name: String, _ kind: Kind, _ help: String) {
    let escaped = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    text += "# HELP \(name) \(escaped)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  /// A line with one value.
  package mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
    text += name
    if !labels.isEmpty {
      let pairs = labels.map { "\($0)=\"\(Self.escaped($1))\"" }
      text += "{\(pairs.joined(separator: ","))}"
    }
    text += " \(Self.spelled(value))\n"
  }

  private static func escaped(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }

  private static func spelled(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    if value == value.rounded(), abs(value) < 1e15 { return "\(Int64(value))" }
    return "\(value)"
  }
}
