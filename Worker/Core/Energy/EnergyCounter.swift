/// One of the processor's energy counters (RAPL) at one moment, as Linux shows it in
/// `/sys/class/powercap` (its documentation, "Power Capping Framework").
package struct EnergyCounter: Hashable, Sendable {
  /// `intel-rapl:0`; `intel-rapl:0:1` is a part of that.
  package var zone: String
  /// `package-0`, `dram`, `core`, `uncore`, `psys`.
  package var name: String
  /// Since some moment, up to the range, then from zero again.
  package var microjoules: UInt64
  package var rangeMicrojoules: UInt64

  package init(zone: String, name: String, microjoules: UInt64, rangeMicrojoules: UInt64) {
    self.zone = zone
    self.name = name
    self.microjoules = microjoules
    self.rangeMicrojoules = rangeMicrojoules
  }

  /// Energy since an earlier reading; nil where both make no sense together.
  package func joules(since before: EnergyCounter) -> Double? {
    guard zone == before.zone, rangeMicrojoules == before.rangeMicrojoules else { return nil }
    if microjoules >= before.microjoules {
      return Double(microjoules - before.microjoules) / 1e6
    }
    guard before.microjoules <= rangeMicrojoules else { return nil }
    return Double(rangeMicrojoules - before.microjoules) / 1e6 + Double(microjoules) / 1e6
  }

  /// Those whose sum counts everything once: each processor package with the memory beside it. What
  /// is inside a package is in its count already, and a kernel may show a package by two ways. The
  /// whole platform is taken where no package is shown.
  package static func additive(_ counters: [EnergyCounter]) -> [EnergyCounter] {
    let sorted = counters.sorted { ($0.zone.utf8.count, $0.zone) < ($1.zone.utf8.count, $1.zone) }
    var seen: Set<String> = []
    let packages = sorted.filter {
      $0.name.hasPrefix("package-") && seen.insert($0.name).inserted
    }
    guard !packages.isEmpty else { return Array(sorted.filter { $0.name == "psys" }.prefix(1)) }
    let zones = Set(packages.map(\.zone))
    return packages + sorted.filter { $0.name == "dram" && zones.contains($0.parent) }
  }

  /// The zone that this one is a part of.
  private var parent: String {
    zone.lastIndex(of: ":").map { String(zone[..<$0]) } ?? ""
  }
}
